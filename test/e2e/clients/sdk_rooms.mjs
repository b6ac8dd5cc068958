// What people do in rooms with matrix-js-sdk, as Element does it, up to the end of
// one of them and what a newcomer reads then.
//
// Arguments: the folder with node_modules, the URL of the server, and the
// beginning of the names of the accounts to make.
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
const running = [];

/** Waits until what a function returns is something, and returns it. */
async function eventually(what, probe) {
    for (const end = Date.now() + 20_000; ;) {
        const found = await probe();
        if (found) return found;
        if (Date.now() > end) throw new Error(`it did not happen: ${what}`);
        await new Promise((done) => setTimeout(done, 20));
    }
}

/** Makes an account and a client of it that syncs. */
async function person(suffix) {
    const session = await anonymous.registerRequest({
        username: `${name}-${suffix}`, password: secret, auth: { type: "m.login.dummy" },
    });
    const client = sdk.createClient({
        baseUrl, userId: session.user_id, deviceId: session.device_id, accessToken: session.access_token,
        timelineSupport: true, threadSupport: true,
    });
    await client.startClient({ initialSyncLimit: 10, lazyLoadMembers: true, threadSupport: true });
    running.push(client);
    await new Promise((ready, failed) => {
        client.on(sdk.ClientEvent.Sync, (state, _, data) => {
            if (state === "PREPARED") ready();
            if (state === "ERROR") failed(data?.error ?? new Error("the first sync failed"));
        });
    });
    return client;
}

const bodies = (room) => room.getLiveTimeline().getEvents()
    .filter((e) => e.getType() === "m.room.message").map((e) => e.getContent().body);

async function invites(alice, bob) {
    const { room_id: id } = await alice.createRoom({
        name: "The ferry", topic: "Who pays the ferryman", preset: sdk.Preset.PrivateChat,
        invite: [bob.getUserId()], is_direct: false,
    });
    const invited = await eventually("the invite comes", () => bob.getRoom(id));
    assert.equal(invited.getMyMembership(), "invite");
    assert.equal(invited.name, "The ferry");
    await bob.joinRoom(id);
    await eventually("bob is in", () => bob.getRoom(id)?.getMyMembership() === "join");
    await eventually("alice sees bob", () => alice.getRoom(id)?.getMember(bob.getUserId())?.membership === "join");
    return id;
}

async function talks(alice, bob, id) {
    const { event_id: first } = await alice.sendTextMessage(id, "the obol is under the tongue");
    await eventually("bob reads it", () => bodies(bob.getRoom(id)).includes("the obol is under the tongue"));
    // Its own echo carries the transaction id, or it would be there twice.
    await eventually("alice sees it once", () => {
        const own = alice.getRoom(id).getLiveTimeline().getEvents().filter((e) => e.getContent().body?.includes("obol"));
        return own.length === 1 && own[0].getId() === first && own[0].status === null;
    });
    await alice.sendMessage(id, {
        "msgtype": "m.text", "body": "* the coin is under the tongue",
        "m.new_content": { msgtype: "m.text", body: "the coin is under the tongue" },
        "m.relates_to": { rel_type: "m.replace", event_id: first },
    });
    await eventually("the edit comes", () =>
        bob.getRoom(id).findEventById(first)?.replacingEvent()?.getContent()["m.new_content"].body.includes("coin"));
    const { event_id: reaction } = await bob.sendEvent(id, "m.reaction", {
        "m.relates_to": { rel_type: "m.annotation", event_id: first, key: "🪙" },
    });
    await eventually("the reaction comes", () =>
        alice.getRoom(id).relations.getChildEventsForEvent(first, "m.annotation", "m.reaction")
            ?.getSortedAnnotationsByKey()?.[0]?.[0] === "🪙");
    // Not by sendMessage: it fails where /sync is faster than the answer, as long as it does not know the thread.
    const { event_id: reply } = await bob.http.authedRequest(
        sdk.Method.Put, `/rooms/${encodeURIComponent(id)}/send/m.room.message/reply`, undefined, {
            "msgtype": "m.text", "body": "and the fare is due", "m.relates_to": { rel_type: "m.thread", event_id: first },
        });
    await eventually("the thread comes", () => alice.getRoom(id).getThread(first)?.length === 1);
    await eventually("the thread has its count", async () =>
        (await alice.fetchRoomEvent(id, first)).unsigned?.["m.relations"]?.["m.thread"]?.count === 1);
    const { events } = await alice.relations(id, first, "m.annotation", "m.reaction");
    assert.deepEqual(events.map((e) => e.getId()), [reaction]);
    return { first, reply };
}

async function receipts(alice, bob, id) {
    const { event_id: last } = await alice.sendTextMessage(id, "read this");
    const event = await eventually("bob has it", () => bob.getRoom(id).findEventById(last));
    await eventually("it is unread", () => bob.getRoom(id).getUnreadNotificationCount() > 0);
    await bob.sendReadReceipt(event);
    await bob.setRoomReadMarkers(id, last, event);
    await eventually("alice sees that bob has read it", () =>
        alice.getRoom(id).getEventReadUpTo(bob.getUserId()) === last);
    await eventually("nothing is unread", () => bob.getRoom(id).getRoomUnreadNotificationCount() === 0);
    await alice.sendTyping(id, true, 10_000);
    await eventually("bob sees alice typing", () => bob.getRoom(id).getMember(alice.getUserId())?.typing);
}

async function pagesBack(alice, bob, id) {
    for (let i = 0; i < 25; i++) await alice.sendTextMessage(id, `wave ${i}`);
    const fresh = sdk.createClient({
        baseUrl, userId: bob.getUserId(), deviceId: bob.getDeviceId(), accessToken: bob.getAccessToken(), timelineSupport: true,
    });
    await fresh.startClient({ initialSyncLimit: 5 });
    running.push(fresh);
    const room = await eventually("the room comes", () => fresh.getRoom(id));
    for (let page = 0; page < 20 && room.oldState.paginationToken !== null; page++) await fresh.scrollback(room, 10);
    const all = room.getLiveTimeline().getEvents();
    assert.equal(all[0].getType(), "m.room.create", "it pages back to the room's first event");
    assert.equal(new Set(all.map((e) => e.getId())).size, all.length, "no event comes twice");
    for (let i = 0; i < 25; i++) assert.ok(bodies(room).includes(`wave ${i}`), `wave ${i} is missing`);
    fresh.stopClient();
}

async function searches(client, words, expected) {
    const { search_categories: { room_events: found } } = await client.search({
        body: { search_categories: { room_events: { search_term: words, order_by: "recent" } } },
    });
    assert.equal(found.count, expected, `${words}: ${JSON.stringify(found)}`);
}

/** Ends an account as Element's dialog does. */
async function ends(client) {
    const auth = new sdk.InteractiveAuth({
        matrixClient: client,
        doRequest: (dict) => client.deactivateAccount(dict ?? undefined, true),
        stateUpdated: () => auth.submitAuthDict({
            type: sdk.AuthType.Password, password: secret, identifier: { type: "m.id.user", user: client.getUserId() },
        }),
        requestEmailToken: () => Promise.reject(new Error("no mail here")),
    });
    const result = await auth.attemptAuth();
    assert.equal(result.id_server_unbind_result, "success");
    client.stopClient();
}

/** The event as a client gets it that asks for this one alone. */
const body = async (client, room, id) => (await client.fetchRoomEvent(room, id)).content.body;

try {
    const alice = await person("alice");
    const bob = await person("bob");
    const id = await invites(alice, bob);
    const { first, reply } = await talks(alice, bob, id);
    await receipts(alice, bob, id);
    await pagesBack(alice, bob, id);
    await searches(bob, "ferryman", 1);
    await searches(bob, "tongue", 2); // the message, and its edit

    await ends(alice);
    await eventually("bob sees alice leave", () =>
        bob.getRoom(id).getMember(alice.getUserId())?.membership === "leave");
    assert.ok((await body(bob, id, first)).includes("tongue"), "who was there keeps what they could read");
    const carol = await person("carol");
    await bob.invite(id, carol.getUserId());
    await eventually("carol is invited", () => carol.getRoom(id));
    await carol.joinRoom(id);
    assert.equal(await body(carol, id, first), undefined, "a newcomer reads what the erased one wrote");
    assert.equal(await body(carol, id, reply), "and the fare is due");
    const { chunk } = await carol.createMessagesRequest(id, null, 100, "b");
    assert.ok(chunk.length > 25 && !JSON.stringify(chunk).includes("tongue") && !JSON.stringify(chunk).includes("wave 3"));
    await searches(carol, "wave", 0);
} finally {
    for (const client of running) client.stopClient();
}
process.exit(); // the client has timers of its last requests, of two minutes
