// Goes through all pages with a browser. test/web/run starts it.
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";
import { eventually, lethe, mailServer } from "./server.mjs";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const pictures = "pictures";
const password = "correct-horse";
// A name that is not loopback: browsers trust it less, and send no Sec-Fetch-Site over plain http.
const host = "lethe.test";

const found = [];
let looked = 0;

const mail = await mailServer();
const withMail = [
  "--smtp-host=127.0.0.1", `--smtp-port=${mail.port}`, "--smtp-security=none", "--smtp-from=lethe@example.org",
  "--terms-url=https://example.org/terms",
];
const plain = await lethe(host, []);
const grace = await lethe(host, [...withMail, "--deactivation-grace=7d", "--support-email=admin@example.org"]);
const strict = await lethe(host, [
  "--self-deactivation=off", "--support-email=admin@example.org", "--support-matrix-id=@admin:example.org",
  "--support-page=https://example.org/support",
]);
const invited = await lethe(host, ["--registration=token"]);
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: [
    "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    `--host-resolver-rules=MAP ${host} 127.0.0.1`,
  ],
});

const register = (server, username) =>
  server.call("POST", "/_matrix/client/v3/register", {
    username, password, auth: { type: "m.login.dummy" }, initial_device_display_name: "Phone",
  });

// look holds a page to what every page promises, and takes pictures of it.
async function look(page, name) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const [size, width] of [["desk", 1024], ["phone", 340]]) {
      await page.setViewportSize({ width, height: 720 });
      const view = `${name}-${colorScheme}-${size}`;
      await page.screenshot({ path: `${pictures}/${view}.png`, fullPage: true });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
      if (wide > 0) found.push(`${view}: ${wide} pixels too wide`);
      await page.evaluate(axe); // not as a script of the page, which its policy refuses
      const { violations } = await page.evaluate(() => window.axe.run());
      for (const v of violations) found.push(`${view}: ${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(" ")}`);
      looked++;
    }
  }
}

// open opens a page in a browser of its own. What its policy refuses is found.
async function open(server, path, options = {}) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on("console", (m) => {
    // The status of an answer is no fault of the page, nor is what another site's page does.
    const own = m.type() === "error" && m.location().url.startsWith(server.base);
    if (own && !/status of [45]|favicon/.test(m.text() + m.location().url)) found.push(`${page.url()}: ${m.text()}`);
  });
  await page.goto(server.base + path);
  return page;
}

async function signIn(page, user) {
  await page.getByLabel("Username").fill(user);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

// heading waits for the page with this heading.
const heading = (page, name) => page.getByRole("heading", { level: 1, name, exact: true }).waitFor();

async function fillEnd(page, user, erase) {
  if (erase) await page.getByLabel("Also erase").check();
  await page.getByLabel("Your username, to confirm").fill(user);
  await page.getByLabel("Your password").fill(password);
  await page.getByRole("button", { name: "End my account" }).click();
}

// accountPage goes from the first page to the receipt.
async function accountPage() {
  const { access_token: token } = await register(plain, "alice");
  await plain.call("PUT", "/_matrix/client/v3/profile/@alice:example.org/displayname", { displayname: "Alice" }, token);
  const page = await open(plain, "/");
  await look(page, "home");
  await page.getByRole("link", { name: /^Your account/ }).click();
  await heading(page, "Sign in to your account");
  await look(page, "sign-in");
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("link", { name: "Enter your password." }).click();
  assert.equal(await page.evaluate(() => document.activeElement.id), "password", "the summary leads to the field");
  await look(page, "sign-in-errors");
  await signIn(page, "alice");
  await heading(page, "Your account");
  await page.getByText("Show the devices").click();
  await look(page, "account");
  const download = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download a copy" }).click();
  assert.equal((await download).suggestedFilename(), "account.zip");
  await page.getByRole("link", { name: "End this account" }).click();
  await heading(page, "End your account");
  await look(page, "end");
  await page.getByRole("button", { name: "End my account" }).click();
  await page.getByRole("alert").waitFor();
  await look(page, "end-errors");
  await fillEnd(page, "alice", true);
  await heading(page, "Your account has ended");
  await eventually("the receipt is complete", async () => {
    await page.reload();
    return page.getByText("Everything is done.").isVisible();
  });
  await look(page, "receipt");
  const receipt = page.waitForEvent("download");
  await page.getByRole("link", { name: "Download the receipt" }).click();
  assert.equal((await receipt).suggestedFilename(), "receipt.json");
  await page.goto(plain.base + "/_lethe/account");
  await heading(page, "Sign in to your account");
  await signIn(page, "alice");
  await page.getByText("This account has been deactivated.").first().waitFor();
  await look(page, "sign-in-ended");
  await page.goto(plain.base + "/_lethe/account/receipt/none");
  await look(page, "nothing");
}

// withoutScripts does it in a browser that runs none, and signs out and in between.
async function withoutScripts() {
  await register(plain, "bob");
  const page = await open(plain, "/_lethe/account", { javaScriptEnabled: false });
  await signIn(page, "@bob:example.org");
  await heading(page, "Your account");
  await page.getByRole("button", { name: "Sign out" }).click();
  await page.getByText("You are signed out.").waitFor();
  await signIn(page, "bob");
  await page.getByRole("link", { name: "End this account" }).click();
  await fillEnd(page, "bob", false);
  await heading(page, "Your account has ended");
}

// impatient presses the button twice, and gets the receipt all the same.
async function impatient() {
  await register(plain, "carol");
  const page = await open(plain, "/_lethe/account");
  await signIn(page, "carol");
  await page.getByRole("link", { name: "End this account" }).click();
  await page.getByLabel("Your username, to confirm").fill("carol");
  await page.getByLabel("Your password").fill(password);
  await page.getByRole("button", { name: "End my account" }).dblclick();
  await heading(page, "Your account has ended");
}

// graceAndMail registers with the fallback pages, confirms an address, ends the account and takes it back.
async function graceAndMail() {
  const endpoint = "/_matrix/client/v3/register";
  const { session } = await grace.call("POST", endpoint, { username: "dora", password });
  const fallback = (stage) => `/_matrix/client/v3/auth/${stage}/fallback/web?session=${session}`;
  // As the example in the specification: a client of another origin opens the page and is told.
  const client = createServer((_, answer) => answer.setHeader("Content-Type", "text/html").end("<title>client</title>"));
  await new Promise((done) => client.listen(0, "127.0.0.1", done));
  const clientURL = `http://127.0.0.1:${client.address().port}/`;
  const opener = await (await browser.newContext()).newPage();
  await opener.goto(clientURL);
  const popup = async (stage) => {
    const opened = opener.waitForEvent("popup");
    await opener.evaluate((url) => {
      window.told = new Promise((done) => window.addEventListener("message", (e) => done([e.origin, e.data])));
      window.open(url);
    }, grace.base + fallback(stage));
    return opened;
  };
  const terms = await popup("m.login.terms");
  await heading(terms, "Terms of this server");
  await look(terms, "fallback-terms");
  await terms.getByLabel("I accept").check();
  await terms.getByRole("button", { name: "Continue" }).click();
  await heading(terms, "Done");
  assert.deepEqual(await opener.evaluate(() => window.told), [grace.base, "authDone"]);
  await look(terms, "fallback-done");
  await terms.close();

  const email = await popup("m.login.email.identity");
  await look(email, "fallback-email");
  await email.getByLabel("E-mail address").fill("dora@example.com");
  await email.getByRole("button", { name: "Send the message" }).click();
  await email.getByRole("button", { name: "Continue" }).click();
  await email.getByRole("alert").waitFor();
  await look(email, "fallback-email-sent");
  const link = await open(grace, new URL(await mail.link("dora@example.com")).href.slice(grace.base.length));
  await look(link, "validate");
  await link.getByRole("button", { name: "Confirm" }).click();
  await heading(link, "Your address is confirmed");
  await email.getByRole("button", { name: "Continue" }).click();
  await heading(email, "Done");
  assert.deepEqual(await opener.evaluate(() => window.told), [grace.base, "authDone"]);

  // A client that wants its user back after the link.
  await grace.call("POST", endpoint + "/email/requestToken", {
    client_secret: "s", email: "next@example.com", send_attempt: 1, next_link: clientURL + "back",
  });
  await link.goto(await mail.link("next@example.com"));
  await link.getByRole("button", { name: "Confirm" }).click();
  await link.waitForURL(clientURL + "back");
  client.close();

  const dora = await grace.call("POST", endpoint, { auth: { session } });
  assert.equal(dora.user_id, "@dora:example.org");
  const page = await open(grace, "/_lethe/account");
  await signIn(page, "dora");
  await page.getByRole("link", { name: "End this account" }).click();
  await look(page, "end-grace");
  await fillEnd(page, "dora", false);
  await heading(page, "Your account is closed, and will end");
  await look(page, "receipt-grace");
  const receipt = page.url();
  await page.goto(await mail.link("dora@example.com"));
  await look(page, "undo");
  await page.getByRole("button", { name: "Keep my account" }).click();
  await heading(page, "You keep your account");
  await page.goto(receipt);
  await heading(page, "This ending was taken back");
  await look(page, "receipt-undone");
}

// strictServer is one where people do not end their accounts themselves.
async function strictServer() {
  await register(strict, "erin");
  const page = await open(strict, "/_lethe/account");
  await signIn(page, "erin");
  await page.getByRole("heading", { name: "End this account" }).waitFor();
  await look(page, "account-operators");
  await page.goto(strict.base + "/_lethe/account/end");
  await heading(page, "Ask the operator");
  await look(page, "end-operators");
  await page.context().clearCookies();
  await page.goto(strict.base + "/_lethe/account/end");
  await page.getByText("You are not signed in any more.").waitFor();
  await look(page, "signed-out");
}

// tokenPage is for who was invited.
async function tokenPage() {
  const { session } = await invited.call("POST", "/_matrix/client/v3/register", { username: "gerd", password });
  const page = await open(invited, `/_matrix/client/v3/auth/m.login.registration_token/fallback/web?session=${session}`);
  await look(page, "fallback-token");
  await page.getByLabel("Registration token").fill("wrong");
  await page.getByRole("button", { name: "Continue" }).click();
  await page.getByRole("alert").waitFor();
  await look(page, "fallback-token-errors");
  await page.goto(invited.base + "/_matrix/client/v3/auth/m.login.dummy/fallback/web?session=gone");
  await look(page, "fallback-gone");
}

// passwordPage is the fallback page of who is signed in in a client.
async function passwordPage() {
  const { access_token: token } = await register(plain, "frank");
  const { session } = await plain.call("POST", "/_matrix/client/v3/account/deactivate", {}, token);
  const page = await open(plain, `/_matrix/client/r0/auth/m.login.password/fallback/web?session=${session}`);
  await look(page, "fallback-password");
  await page.getByLabel("Password").fill(password);
  await page.getByText("If you have not just asked for it yourself").waitFor();
  await page.getByRole("button", { name: "End my account" }).click();
  await heading(page, "Done");
}

rmSync(pictures, { recursive: true, force: true });
mkdirSync(pictures);
try {
  for (const walk of [accountPage, withoutScripts, impatient, graceAndMail, strictServer, tokenPage, passwordPage]) {
    console.log(`== ${walk.name}`);
    await walk();
  }
} finally {
  await browser.close();
  mail.close();
  for (const server of [plain, grace, strict, invited]) await server.stop();
}
for (const line of new Set(found)) console.error(line);
if (found.length > 0) process.exit(1);
console.log(`${looked} views of pages, and nothing wrong with them.`);
