"""The write-ahead log: a member's promises, kept so that a crash at any point loses no promise.

This package plans and reads; it runs no operation. `recover` reads a folder through the `LogDisk`
port and returns a `WriteAheadLog`, the log's content, and a `repair`. The log's `bootstrap`,
`append` and `cut` return `DiskOperation`s. What the caller owes, in order:

1. Run `repair` before anything else, also before the entries count as synced: the bytes that were
   read may have been in the page cache alone.
2. If `identity` is None, run `bootstrap` before the first `append`.
3. Run plans one at a time, in the order in which the plans were made. Run a plan only after the
   `DiskDone` of the plan before. This order makes a torn batch recognisable.
4. After `DiskFailed`, give the log up and end the process. The planned bytes may be on disk or not,
   and a second sync proves nothing (a failed sync may have marked the pages clean).
5. Call `cut` only for entries that are committed, and also durable in the state.
6. Refuse to go on when the state's applied index is below `base_index`.

After a crash, a batch that was planned and not synced is found whole, or not at all, never in part.
So the log may hold entries that were never acknowledged; Raft's own rules decide about them.

`docs/disk-format.md` specifies the bytes. In this package: `format.py` the bytes, `segment.py` one
file, `outline.py` the log's content without payloads, `log.py` the whole log.

Caveats. A sector of 512 bytes is taken to be written whole or not at all, as disks promise. A last
batch that the disk acknowledged and then lost entirely leaves no trace and is not noticed. Neither
is a last segment that was removed by hand. `recover` reads all segments into memory, one at a time,
and returns all entries: the caller's cutting keeps the entries few.
"""

from inventory_node.wal.format import Identity
from inventory_node.wal.log import Recovered, WriteAheadLog, recover

__all__ = ["Identity", "Recovered", "WriteAheadLog", "recover"]
