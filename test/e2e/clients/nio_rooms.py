"""What people do in rooms with matrix-nio, up to the end of one of them.

Arguments: the URL of the server, and the beginning of the names of the accounts
to make.
"""

import asyncio
import sys

import nio

BASE, NAME = sys.argv[1:]
SECRET = "a password for nio"


def expect(response, kind):
    """The response, which has to be of a kind."""
    if not isinstance(response, kind):
        sys.exit(f"nio: wanted {kind.__name__}, got {response!r}")
    return response


def same(got, want, what):
    if got != want:
        sys.exit(f"nio: {what} is {got!r}, not {want!r}")


async def person(suffix):
    """Makes an account and a client of it that has synced once."""
    client = nio.AsyncClient(BASE, f"{NAME}-{suffix}")
    expect(await client.register(f"{NAME}-{suffix}", SECRET, "nio"), nio.RegisterResponse)
    expect(await client.sync(timeout=0, full_state=True), nio.SyncResponse)
    return client


async def sync_until(client, what, probe):
    """Syncs until what probe returns is something, and returns it."""
    for _ in range(50):
        found = probe()
        if found:
            return found
        expect(await client.sync(timeout=2000), nio.SyncResponse)
    sys.exit(f"nio: it did not happen: {what}")


def message(body, **more):
    return {"msgtype": "m.text", "body": body, **more}


async def send(client, room, content, kind="m.room.message"):
    return expect(await client.room_send(room, kind, content), nio.RoomSendResponse).event_id


async def everything(client, room):
    """Pages back to the beginning and returns all events, newest first."""
    events, start = [], ""
    for _ in range(50):
        page = await client.room_messages(room, start, limit=7, direction=nio.MessageDirection.back)
        page = expect(page, nio.RoomMessagesResponse)
        events += page.chunk
        start = page.end
        if not start:
            return events
    sys.exit("nio: the room has no beginning")


def bodies(events):
    return [e.body for e in events if isinstance(e, nio.RoomMessageText)]


async def talk(alice, bob):
    """Makes a room, talks in it, and returns it with the first message."""
    made = await alice.room_create(name="The ferry", topic="Who pays the ferryman", invite=[bob.user_id])
    room = expect(made, nio.RoomCreateResponse).room_id
    await sync_until(bob, "the invite comes", lambda: room in bob.invited_rooms)
    expect(await bob.join(room), nio.JoinResponse)
    await sync_until(bob, "bob is in", lambda: room in bob.rooms)
    same(bob.rooms[room].name, "The ferry", "the name of the room")
    members = expect(await bob.joined_members(room), nio.JoinedMembersResponse).members
    same({m.user_id for m in members}, {alice.user_id, bob.user_id}, "the members")

    first = await send(alice, room, message("the obol is under the tongue"))
    new = message("the coin is under the tongue")
    await send(alice, room, message("* the coin is under the tongue", **{
        "m.new_content": new, "m.relates_to": {"rel_type": "m.replace", "event_id": first},
    }))
    await send(bob, room, {"m.relates_to": {"rel_type": "m.annotation", "event_id": first, "key": "!"}}, "m.reaction")
    await send(bob, room, message("and the fare is due", **{
        "m.relates_to": {"rel_type": "m.thread", "event_id": first},
    }))
    expect(await bob.room_read_markers(room, first, first), nio.RoomReadMarkersResponse)
    expect(await bob.room_typing(room, True, 30000), nio.RoomTypingResponse)
    await sync_until(alice, "her room comes", lambda: room in alice.rooms)
    await sync_until(alice, "bob types", lambda: bob.user_id in alice.rooms[room].typing_users)
    await sync_until(alice, "bob has read", lambda: alice.rooms[room].read_receipts.get(bob.user_id))
    for i in range(20):
        await send(alice, room, message(f"wave {i}"))
    read = bodies(await everything(bob, room))
    same([b for b in read if b.startswith("wave")], [f"wave {i}" for i in reversed(range(20))], "what bob reads")
    state = expect(await bob.room_get_state_event(room, "m.room.topic"), nio.RoomGetStateEventResponse)
    same(state.content["topic"], "Who pays the ferryman", "the topic")
    around = expect(await bob.room_context(room, first, limit=4), nio.RoomContextResponse)
    same(around.event.event_id, first, "the event in the middle")
    own = await send(bob, room, message("a slip of the tongue"))
    expect(await bob.room_redact(room, own, "a slip"), nio.RoomRedactResponse)
    gone = expect(await alice.room_get_event(room, own), nio.RoomGetEventResponse).event
    same(isinstance(gone, nio.RedactedEvent), True, "that the slip is redacted")
    return room, first


async def end(client):
    """Ends an account, as one request with the password."""
    path = ["account", "deactivate"]
    body = {"erase": True, "auth": {"type": "m.login.password", "user": client.user_id, "password": SECRET}}
    answer = await client.send(
        "POST", nio.Api._build_path(path, {"access_token": client.access_token}), nio.Api.to_json(body),
        {"Content-Type": "application/json"},
    )
    same((answer.status, (await answer.json())["id_server_unbind_result"]), (200, "success"), "the answer of the ending")


async def main():
    alice, bob = await person("alice"), await person("bob")
    room, first = await talk(alice, bob)
    await end(alice)
    await sync_until(bob, "alice is gone", lambda: alice.user_id not in bob.rooms[room].users)
    kept = expect(await bob.room_get_event(room, first), nio.RoomGetEventResponse).event
    same(kept.source["content"]["body"].startswith("the "), True, "that who was there reads it")
    carol = await person("carol")
    expect(await bob.room_invite(room, carol.user_id), nio.RoomInviteResponse)
    expect(await carol.join(room), nio.JoinResponse)
    await sync_until(carol, "carol is in", lambda: room in carol.rooms)
    read = bodies(await everything(carol, room))
    same([b for b in read if "tongue" in b or "wave" in b], [], "what a newcomer reads of the erased one")
    same("and the fare is due" in read, True, "that a newcomer reads the others")
    for client in (alice, bob, carol):
        await client.close()


asyncio.run(main())
