// The life of an account with matrix-js-sdk, as Element lives it.
//
// Arguments: the folder with node_modules, the URL of the server, and the name
// of the account to make.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [modules, baseUrl, name] = process.argv.slice(2);
const require = createRequire(modules + "/");
const sdk = await import(pathToFileURL(require.resolve("matrix-js-sdk")).href);
const { logger } = await import(pathToFileURL(require.resolve("matrix-js-sdk/lib/logger.js")).href);
logger.disableAll();

const secret = "a password for the sdk";
const anonymous = sdk.createClient({ baseUrl });

/** The error of a request, which has to fail. */
async function failure(promise, status, errcode) {
    try {
        await promise;
    } catch (e) {
        assert.equal(e.httpStatus, status, `${e}`);
        if (errcode) assert.equal(e.errcode, errcode, `${e}`);
        return e;
    }
    throw new Error(`wanted ${status} ${errcode}, and the request succeeded`);
}

/** The client of the session that a login or registration began. */
function clientOf(session, options = {}) {
    return sdk.createClient({
        baseUrl, userId: session.user_id, deviceId: session.device_id, accessToken: session.access_token, ...options,
    });
}

/** Makes a request that needs a password, with the SDK's own driver. */
async function withPassword(client, password, request) {
    let asked = 0;
    const auth = new sdk.InteractiveAuth({
        matrixClient: client,
        doRequest: (dict) => request(dict ?? undefined),
        stateUpdated: (stage) => {
            assert.equal(stage, sdk.AuthType.Password);
            assert.ok(++asked < 3, "the server asks for the password again and again");
            auth.submitAuthDict({
                type: sdk.AuthType.Password, password, identifier: { type: "m.id.user", user: client.getUserId() },
            });
        },
        requestEmailToken: () => Promise.reject(new Error("no mail here")),
    });
    const result = await auth.attemptAuth();
    assert.ok(asked > 0, "the server did not ask who it is");
    return result;
}

async function register() {
    assert.ok(await anonymous.isVersionSupported("v1.11"));
    assert.equal(await anonymous.isUsernameAvailable(name), true);
    const body = { username: name, password: secret, initial_device_display_name: "Element", refresh_token: true };
    const auth = new sdk.InteractiveAuth({
        matrixClient: anonymous,
        doRequest: (dict) => anonymous.registerRequest({ ...body, auth: dict ?? undefined }),
        stateUpdated: (stage) => assert.equal(stage, sdk.AuthType.Dummy),
        requestEmailToken: () => Promise.reject(new Error("no mail here")),
        supportedStages: [sdk.AuthType.Dummy],
    });
    const session = await auth.attemptAuth();
    assert.equal(await anonymous.isUsernameAvailable(name), false);
    return session;
}

async function refreshes(session) {
    assert.ok(session.refresh_token && session.expires_in_ms > 0);
    const fresh = await anonymous.refreshToken(session.refresh_token);
    const client = clientOf({ ...session, access_token: fresh.access_token });
    assert.equal((await client.whoami()).user_id, session.user_id);
    await failure(clientOf(session).whoami(), 401, "M_UNKNOWN_TOKEN");
    return client;
}

async function login(password = secret) {
    return clientOf(await anonymous.loginRequest({
        type: "m.login.password", password, identifier: { type: "m.id.user", user: name },
        initial_device_display_name: "another",
    }));
}

async function profile(client) {
    const user = client.getUserId();
    await client.setDisplayName("Ess Dee Kay");
    await client.setAvatarUrl("mxc://example.org/sdk");
    assert.deepEqual(await client.getProfileInfo(user), {
        displayname: "Ess Dee Kay", avatar_url: "mxc://example.org/sdk",
    });
    assert.ok(await client.doesServerSupportExtendedProfiles());
    await client.setExtendedProfileProperty("org.example.pronouns", ["they"]);
    assert.deepEqual(await client.getExtendedProfileProperty(user, "org.example.pronouns"), ["they"]);
    await client.deleteExtendedProfileProperty("org.example.pronouns");
    assert.equal((await client.getExtendedProfile(user))["org.example.pronouns"], undefined);
}

async function data(client) {
    const content = { beds: 3, words: ["ein", "zwei"] };
    await client.setAccountDataRaw("org.example.data", content);
    assert.deepEqual(await client.getAccountDataFromServer("org.example.data"), content);
    assert.equal(await client.getAccountDataFromServer("org.example.none"), null);
    const filter = await client.createFilter({ room: { timeline: { limit: 20 } } });
    const got = await client.getFilter(client.getUserId(), filter.filterId, false);
    assert.equal(got.getDefinition().room.timeline.limit, 20);
    await failure(client.getFilter(client.getUserId(), "does-not-exist", false), 404, "M_NOT_FOUND");
    const openID = await client.getOpenIdToken();
    assert.equal(openID.token_type, "Bearer");
    assert.ok((await client.getCapabilities())["m.change_password"].enabled);
}

async function devices(client) {
    const [second, third, fourth] = [await login(), await login(), await login()];
    await client.setDeviceDetails(second.getDeviceId(), { display_name: "renamed" });
    const list = (await client.getDevices()).devices;
    assert.equal(list.length, 4);
    assert.equal(list.find((d) => d.device_id === second.getDeviceId()).display_name, "renamed");
    await withPassword(client, secret, (auth) => client.deleteDevice(second.getDeviceId(), auth));
    await withPassword(client, secret, (auth) =>
        client.deleteMultipleDevices([third.getDeviceId(), fourth.getDeviceId()], auth));
    assert.deepEqual((await client.getDevices()).devices.map((d) => d.device_id), [client.getDeviceId()]);
    const dead = await failure(second.whoami(), 401, "M_UNKNOWN_TOKEN");
    assert.notEqual(dead.data.soft_logout, true);
}

async function changePassword(client) {
    const other = await login();
    await withPassword(client, secret, (auth) => client.setPassword(auth ?? {}, "the next password", true));
    await failure(other.whoami(), 401, "M_UNKNOWN_TOKEN");
    await failure(login(), 403, "M_FORBIDDEN");
    const again = await login("the next password");
    const { login_token: token } = await withPassword(again, "the next password", (auth) => again.requestLoginToken(auth));
    const byToken = clientOf(await anonymous.loginRequest({ type: "m.login.token", token }));
    assert.equal(byToken.getUserId(), client.getUserId());
    await byToken.logout();
    await failure(byToken.whoami(), 401, "M_UNKNOWN_TOKEN");
}

/** Element's dialog: see what it sends when it opens, and when its box is ticked. */
async function deactivate(client) {
    const opened = await failure(client.deactivateAccount(undefined, false), 401);
    assert.ok(opened.data.flows && opened.data.session && opened.data.params && opened.data.completed);
    assert.equal((await client.whoami()).user_id, client.getUserId());
    const ticked = await failure(client.deactivateAccount(undefined, true), 401);
    const stage = (password) => ({
        type: "m.login.password", identifier: { type: "m.id.user", user: client.getUserId() }, password,
        session: ticked.data.session,
    });
    const wrong = await failure(client.deactivateAccount(stage("wrong"), true), 401, "M_FORBIDDEN");
    assert.equal(wrong.data.session, ticked.data.session);
    assert.ok(wrong.data.flows);
    const { id_server_unbind_result: unbound } = await client.deactivateAccount(stage("the next password"), true);
    assert.equal(unbound, "success");
    const dead = await failure(client.whoami(), 401, "M_UNKNOWN_TOKEN");
    assert.notEqual(dead.data.soft_logout, true);
    await failure(client.logout(), 401, "M_UNKNOWN_TOKEN");
    await failure(login("the next password"), 403, "M_USER_DEACTIVATED");
    await failure(login("wrong"), 403, "M_USER_DEACTIVATED");
    assert.equal(await anonymous.isUsernameAvailable(name), false);
}

const session = await register();
const client = await refreshes(session);
await profile(client);
await data(client);
await devices(client);
await changePassword(client);
await deactivate(client);
console.log("done");
process.exit(0);
