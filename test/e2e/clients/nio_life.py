"""The life of an account with matrix-nio: r0 paths, and the token in the query.

Arguments: the URL of the server, and the name of the account to make.
"""

import asyncio
import sys

import aiohttp
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


async def sessions():
    """Registers, logs in a second time, and uses both sessions."""
    first = nio.AsyncClient(BASE, NAME)
    # One request, with a dummy stage and no session.
    registered = expect(await first.register(NAME, SECRET, "nio"), nio.RegisterResponse)
    user = registered.user_id
    whoami = expect(await first.whoami(), nio.WhoamiResponse)
    same(whoami.user_id, user, "the user of the token")
    expect(await first.set_displayname("Nio"), nio.ProfileSetDisplayNameResponse)
    expect(await first.set_avatar("mxc://example.org/nio"), nio.ProfileSetAvatarResponse)
    same(expect(await first.get_displayname(), nio.ProfileGetDisplayNameResponse).displayname, "Nio", "the name")
    profile = expect(await first.get_profile(), nio.ProfileGetResponse)
    same((profile.displayname, profile.avatar_url), ("Nio", "mxc://example.org/nio"), "the profile")
    expect(await first.get_openid_token(user), nio.GetOpenIDTokenResponse)

    second = nio.AsyncClient(BASE, NAME)
    expect(await second.login_info(), nio.LoginInfoResponse)
    login = expect(await second.login(SECRET, device_name="nio, again"), nio.LoginResponse)
    same(login.user_id, user, "the user who logged in")
    expect(await second.update_device(login.device_id, {"display_name": "renamed"}), nio.UpdateDeviceResponse)
    devices = expect(await first.devices(), nio.DevicesResponse).devices
    same({d.id: d.display_name for d in devices}[login.device_id], "renamed", "the name of the device")

    third = nio.AsyncClient(BASE, NAME)
    gone = expect(await third.login(SECRET), nio.LoginResponse).device_id
    refused = expect(await first.delete_devices([gone]), nio.DeleteDevicesAuthResponse)
    auth = {"type": "m.login.password", "user": user, "password": SECRET, "session": refused.session}
    expect(await first.delete_devices([gone], auth), nio.DeleteDevicesResponse)
    same((await third.whoami()).status_code, "M_UNKNOWN_TOKEN", "the answer to a deleted device")

    token = second.access_token
    expect(await second.logout(), nio.LogoutResponse)
    second.access_token = token
    same((await second.whoami()).status_code, "M_UNKNOWN_TOKEN", "the answer after logout")
    for client in (second, third):
        await client.close()
    return first, user


async def end(client, user):
    """Ends the account by plain requests: nio has none for it."""
    url = f"{BASE}/_matrix/client/r0/account/deactivate?access_token={client.access_token}"
    async with aiohttp.ClientSession() as http:
        async with http.post(url, json={"erase": True}) as r:
            same(r.status, 401, "the status without auth")
            session = (await r.json())["session"]
        wrong = {"type": "m.login.password", "user": user, "password": "wrong", "session": session}
        async with http.post(url, json={"erase": True, "auth": wrong}) as r:
            same(r.status, 401, "the status with a wrong password")
            same((await r.json())["session"], session, "the session after a wrong password")
        right = {"type": "m.login.password", "user": user, "password": SECRET, "session": session}
        async with http.post(url, json={"erase": True, "auth": right}) as r:
            same(r.status, 200, "the status of the ending")
            same((await r.json())["id_server_unbind_result"], "success", "id_server_unbind_result")
    dead = await client.whoami()
    same((dead.status_code, dead.soft_logout), ("M_UNKNOWN_TOKEN", False), "the answer after the end")
    again = nio.AsyncClient(BASE, NAME)
    same((await again.login(SECRET)).status_code, "M_USER_DEACTIVATED", "the answer to a login after the end")
    same((await again.register(NAME, SECRET)).status_code, "M_USER_IN_USE", "the answer to a registration of the name")
    await again.close()


async def main():
    client, user = await sessions()
    await end(client, user)
    await client.close()


asyncio.run(main())
