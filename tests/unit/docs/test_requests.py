"""Every `curl` of the documentation that asks the service, asked as it is written."""

import re
import shlex

from sdktest.rows import each_row

from domain.user import UserId
from entrypoints.config.service_keys import new_service_key
from support.documentation import shell_blocks
from support.users import snapshot
from support.web import Web, created, token, web

NOW = 1_700_000_000_000
USERS = ("user_1", "user_2abc")
KEY, CONFIGURED = new_service_key("docs")
CURLS = sorted(
    {
        command
        for block in shell_blocks()
        for command in block.commands
        if command.startswith("curl ") and "localhost:3002" in command
    }
)


async def ask(service: Web, command: str):
    """Understand the few options that the documentation uses; another one is an error here."""
    command = re.sub(r"\$\(\S*auth-service token --user (\S+)\)", lambda match: token(match[1]), command)
    words = iter(shlex.split(command.replace("$SERVICE_KEY", KEY).replace("$TOKEN", token("user_2abc")))[1:])
    method, url, body, headers = "GET", "", None, {}
    for word in words:
        match word:
            case "-i":
                pass
            case "-X":
                method = next(words)
            case "-d":
                body = next(words)
            case "-H":
                name, _, value = next(words).partition(": ")
                headers[name] = value
            case _:
                assert word.startswith("http://localhost:3002/"), word
                url = word.removeprefix("http://localhost:3002")
    return await service.client.request(method, url, content=body, headers=headers)


@each_row("command", CURLS)
async def test_a_documented_request_is_answered(command: str):
    async with web(AUTH_SERVICE_KEYS=str(CONFIGURED)) as service:
        for user in USERS:
            assert (await service.deliver(created(user))).status_code == 200
            service.identities.users[UserId(user)] = snapshot(UserId(user), at=NOW)
        answer = await ask(service, command)

    assert answer.status_code == 200, answer.text
