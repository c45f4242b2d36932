// What the client asks for; the answers are the service's, and tested there.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AuthService } from "../dist/client.js";

const asked = [];
const service = new AuthService({
  baseUrl: "http://auth.test",
  credential: "token",
  fetch: async (url, init) => {
    asked.push([url, init.headers["if-none-match"]]);
    return new Response("{}", { status: 200 });
  },
});

test("the version that the caller has seen goes along", async () => {
  await service.me();
  await service.me({ minVersion: 7, etag: '"7-x"' });
  await service.user("user_1", { minVersion: 7 });
  await service.users({ ids: ["user_1", "user_2"], minVersion: 7 });
  await service.users({ email: "a+b@example.org" });

  assert.deepEqual(asked, [
    ["http://auth.test/v1/me", undefined],
    ["http://auth.test/v1/me?min_version=7", '"7-x"'],
    ["http://auth.test/v1/users/user_1?min_version=7", undefined],
    ["http://auth.test/v1/users?ids=user_1%2Cuser_2&min_version=7", undefined],
    ["http://auth.test/v1/users?email=a%2Bb%40example.org", undefined],
  ]);
});
