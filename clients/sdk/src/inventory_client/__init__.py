"""The inventory from Python: `AsyncInventory` for asyncio, `Inventory` for all other programs.

    async with AsyncInventory("127.0.0.1:50051", auth=("Gayathri", "password1")) as inventory:
        placed = await inventory.order_item(1, 2)
        print(placed.order_id, placed.on_hand_after, placed.total)

Both clients have the same methods. A read is named by its result: `item`, `order`, `current_user`,
`currency`, `stats`, `item_stats` and `status` return one value; `items`, `orders`, `users` and
`all_item_stats` yield all values. A mutation is a verb: `order_item`, `add_item`, `set_stock`.

Each mutation gets its request id once, and keeps the id through every retry. Retries go on until
the call's timeout (5 s by default). Concurrent mutations share one stream and are batched
automatically.

A call without a result raises an `InventoryError`:

- `Refused`: the inventory refused the call; `reason` and `details` say why, and nothing changed.
- `Unauthenticated`, `NotAllowed`: kinds of Refused; log in again, or as another user.
- `Unavailable`: a read got no answer in time.
- `OutcomeUnknown`: a mutation got no answer in time, and may or may not have taken effect. Call
  again as the same user with `request_id=error.request_id`: the mutation is applied once, however
  often it is sent. A refusal after an unanswered attempt is also an OutcomeUnknown, unless the log
  itself refused the mutation: an overloaded gateway cannot know the outcome of the earlier attempt.
  `reason` says why.
- `OutcomeForgotten`: a kind of OutcomeUnknown that stays unknown, since the request id is older
  than the inventory's memory. Look whether the mutation took effect instead of sending it again.

`auth` is how the client gets its token: a name and password as here, `KeyFile` for a machine user,
a bearer token as text, or an `Auth` of the program's own. The client logs in at the first call,
refreshes the token before it ends and when it is refused, and logs in again when the session has
ended. Calls that were refused with the token are
sent again, the same bytes under the same request ids. `inventory.as_user(token)` speaks for another
user over the same channel.

`login` is for a person at a prompt, and `logout` ends the session. `login` keeps no password, and
ends the mutations under way on
the shared stream as `OutcomeUnknown`, since request ids belong to the user who was logged in
before.

Reads see every write that was acknowledged before the read. With
`reads=Reads.bounded(timedelta(seconds=5))` or `reads=Reads.stale()` any member may answer, from its
own state.

A gateway that is not on this machine is called by TLS, and proves itself by an authority in
`ca_file`, or by a public one without `ca_file`. `insecure=True` is plain text, which everybody on
the way can read and change. A gateway on this machine is called by plain text without `ca_file`.

Money is whole minor units (`Money("USD", 1250)` is 12.50), and counts exactly: `price * 3 + fee`.
Quantities are integers, times are aware datetimes, roles and standings are enums of text.
`revision` is the log position that an answer speaks of.

Caveats, each with a `UsageError` before anything is sent: an `AsyncInventory` belongs to the loop
of its first call. A closed client stays closed. gRPC does not survive a fork: a process that was
forked after the first call cannot use any client, including clients that it makes itself. Start
such processes by `spawn` or `forkserver`, or fork before the first call. A client cannot be
pickled; pass its address and its token on instead.
"""

from inventory_client import models
from inventory_client.aio import AsyncInventory
from inventory_client.auth import (
    Auth,
    Bearer,
    Flow,
    KeyFile,
    MachineCertificate,
    Password,
    Token,
    is_token,
)
from inventory_client.blocking import Inventory
from inventory_client.connection import TIMEOUT_SECONDS_MAX
from inventory_client.errors import (
    InventoryError,
    NotAllowed,
    OutcomeForgotten,
    OutcomeUnknown,
    Refused,
    Unauthenticated,
    Unavailable,
    UsageError,
)
from inventory_client.models import *  # noqa: F403 - whatever the schema has
from inventory_client.money import Money
from inventory_client.reads import Reads
from inventory_client.security import ClientCertificate

__version__ = "0.1.0"

__all__ = [
    "TIMEOUT_SECONDS_MAX",
    "AsyncInventory",
    "Auth",
    "Bearer",
    "ClientCertificate",
    "Flow",
    "Inventory",
    "InventoryError",
    "KeyFile",
    "MachineCertificate",
    "Money",
    "NotAllowed",
    "OutcomeForgotten",
    "OutcomeUnknown",
    "Password",
    "Reads",
    "Refused",
    "Token",
    "Unauthenticated",
    "Unavailable",
    "UsageError",
    "__version__",
    "is_token",
]
__all__ += models.__all__
