// Calls methods of the client, `[["ban", "user_ada"], …]`, one after another, and prints each answer as a line of JSON.
import { AuthService } from "@anomalyze/auth/client";

const [baseUrl, credential, calls] = process.argv.slice(2);
const service = new AuthService({ baseUrl, credential, timeout: 20 });
for (const [method, ...given] of JSON.parse(calls)) {
  try {
    console.log(JSON.stringify(await service[method](...given)));
  } catch (error) {
    console.log(JSON.stringify({ thrown: error.name }));
  }
}
