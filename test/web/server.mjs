// What the pages need around them: a server on an empty database, and a mail server that keeps what it is
// given.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

// freePort is a port that nobody listens on.
export function freePort() {
  return new Promise((done, failed) => {
    const s = createServer().on("error", failed).listen(0, "127.0.0.1", () => {
      const { port } = s.address();
      s.close(() => done(port));
    });
  });
}

// eventually waits until what() is something.
export async function eventually(name, what) {
  for (let i = 0; i < 400; i++) {
    const got = await what();
    if (got) return got;
    await sleep(50);
  }
  throw new Error(`it did not happen: ${name}`);
}

// mailServer takes mail over SMTP; link waits for the next message to an address and returns the link in it.
export async function mailServer() {
  const messages = [];
  const server = createServer((socket) => {
    let message = { to: "", text: "" };
    let inData = false;
    let rest = "";
    const answer = (line) => socket.write(line + "\r\n");
    answer("220 test");
    socket.on("error", () => {});
    socket.on("data", (chunk) => {
      rest += chunk;
      for (let end; (end = rest.indexOf("\r\n")) >= 0; ) {
        const line = rest.slice(0, end);
        rest = rest.slice(end + 2);
        if (inData) {
          if (line !== ".") {
            message.text += line + "\n";
            continue;
          }
          inData = false;
          messages.push(message);
          message = { to: "", text: "" };
          answer("250 taken");
        } else if (/^(EHLO|HELO)/i.test(line)) answer("250 test");
        else if (/^RCPT TO:<([^>]*)>/i.test(line)) {
          message.to = line.match(/<([^>]*)>/)[1];
          answer("250 fine");
        } else if (/^DATA/i.test(line)) {
          inData = true;
          answer("354 go on");
        } else if (/^QUIT/i.test(line)) {
          answer("221 bye");
          socket.end();
        } else answer("250 fine");
      }
    });
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    port: server.address().port,
    close: () => server.close(),
    async link(to) {
      const message = await eventually(`mail to ${to}`, () => {
        const i = messages.findIndex((m) => m.to === to);
        return i >= 0 && messages.splice(i, 1)[0];
      });
      const text = message.text.replace(/=\n/g, "").replace(/=3D/g, "=");
      return text.match(/https?:\/\/[^\s"<>]+\/_lethe\/[^\s"<>]+/)[0];
    },
  };
}

// lethe starts the server, and waits until it is ready.
export async function lethe(host, more) {
  const port = await freePort();
  const folder = mkdtempSync(join(tmpdir(), "lethe-web-"));
  const base = `http://${host}:${port}`;
  const child = spawn(process.env.LETHE, [
    "serve", "--server-name=example.org", `--listen=127.0.0.1:${port}`, `--public-base-url=${base}`,
    `--data-dir=${folder}`, "--registration=open", "--rate-limits=off", "--log-level=error", ...more,
  ], { stdio: ["ignore", "ignore", "inherit"] });
  const stop = async () => {
    child.kill("SIGTERM");
    if (child.exitCode === null) await new Promise((done) => child.on("exit", done));
    rmSync(folder, { recursive: true, force: true });
  };
  const call = async (method, path, body, token) => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, {
      method, body: body && JSON.stringify(body), headers: token ? { Authorization: `Bearer ${token}` } : {},
    });
    return answer.json();
  };
  await eventually("the server is ready", async () => {
    if (child.exitCode !== null) throw new Error("the server did not start");
    return fetch(`http://127.0.0.1:${port}/health`).then((a) => a.ok, () => false);
  });
  return { base, stop, call };
}
