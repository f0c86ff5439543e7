// Logs in, lists, orders, orders again with the same request id, and asks for more than there is.
// See ../README.md.
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";
import { v7 as newRequestId } from "uuid";

const ADDRESS = process.env.INVENTORY_ADDRESS ?? "127.0.0.1:50051";
const CALL_MS = 5_000;

// gRPC sends the same bytes again, and with them the same request id. It waits as long as the
// server asks for.
const RETRIES = JSON.stringify({
  methodConfig: [
    {
      name: [{ service: "inventory.v1.AuthService" }, { service: "inventory.v1.InventoryService" }],
      retryPolicy: {
        maxAttempts: 5,
        initialBackoff: "0.05s",
        maxBackoff: "1s",
        backoffMultiplier: 2,
        retryableStatusCodes: ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
      },
    },
  ],
});

// longs: ids, quantities and units have 64 bits, and a number of JavaScript holds 53.
const schema = protoLoader.loadSync(
  [
    "inventory/v1/auth.proto",
    "inventory/v1/inventory.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
  ],
  {
    includeDirs: [
      fileURLToPath(new URL("../../../proto", import.meta.url)),
      process.env.GOOGLEAPIS ?? "googleapis",
    ],
    keepCase: true,
    longs: String,
    enums: String,
    defaults: true,
  },
);
const { inventory } = grpc.loadPackageDefinition(schema);

/** Return a function that calls a method by name, as whom the metadata speaks for. */
function caller(Service) {
  const client = new Service(ADDRESS, grpc.credentials.createInsecure(), {
    "grpc.service_config": RETRIES,
  });
  return (method, request, metadata = new grpc.Metadata()) =>
    promisify(client[method].bind(client))(request, metadata, { deadline: Date.now() + CALL_MS });
}

/** Return the inventory's reason for a refusal, with its details; undefined for another error. */
function refusal(error) {
  const [raw] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (raw === undefined) return undefined;
  for (const detail of schema["google.rpc.Status"].deserialize(raw).details) {
    if (detail.type_url.endsWith("/google.rpc.ErrorInfo")) {
      const info = schema["google.rpc.ErrorInfo"].deserialize(detail.value);
      if (info.domain === "inventory") return info;
    }
  }
  return undefined;
}

const auth = caller(inventory.v1.AuthService);
const { user, token } = await auth("Login", { username: "Gayathri", password: "password1" });
console.log(`logged in: ${user.name} ${user.role}`);
const metadata = new grpc.Metadata();
metadata.set("authorization", `Bearer ${token}`);

const call = caller(inventory.v1.InventoryService);
let page_token = "";
do {
  const page = await call("GetAllItems", { page_size: 2, page_token }, metadata);
  for (const item of page.items) {
    console.log(`item ${item.id}: ${item.name}, ${item.quantity} on hand`);
  }
  page_token = page.next_page_token;
} while (page_token);

const order = { request_id: newRequestId(), item_id: 2, quantity: 1 };
for (const attempt of ["ordered", "again"]) {
  const { order_id, total } = await call("OrderItem", order, metadata);
  const cents = String(total.nanos / 10_000_000).padStart(2, "0");
  console.log(`${attempt}: order ${order_id} for ${total.units}.${cents} ${total.currency_code}`);
}
try {
  await call("OrderItem", { request_id: newRequestId(), item_id: 2, quantity: 1_000_000 }, metadata);
} catch (error) {
  const info = refusal(error);
  if (info === undefined) throw error;
  console.log(`refused: ${info.reason}, ${info.metadata.available} available`);
}
process.exit(); // the channels would keep it
