"""The write-ahead log: what a member promised, kept so that a crash at any point loses none of it.

The room plans and reads; it runs nothing. `recover` reads a folder through the `LogDisk` port and
returns a `WriteAheadLog`, everything it held, and a `repair`. The log's `bootstrap`, `append` and
`cut` return `DiskOperation`s. What the caller owes, in order:

1. Run `repair` before anything else, also before the entries count as synced: what was read may
   have been in the page cache alone.
2. If `identity` is None, run `bootstrap` before the first `append`.
3. Run plans one at a time, in the order in which they were made; the next only after `DiskDone`
   of the one before. That is what makes a torn batch recognisable.
4. After `DiskFailed`, give the log up and end the process. What was planned may be there or not,
   and a second sync proves nothing (a failed one may have marked the pages clean).
5. Call `cut` only for what is committed, and durable in the state besides.
6. Refuse to go on when the state was applied to less than `base_index`.

A batch that was planned and not synced may be found whole, or not at all, never in part. Entries
beyond what was acknowledged are therefore no surprise; Raft's own rules decide about them.

`docs/disk-format.md` specifies the bytes. In this package: `format.py` the bytes, `segment.py` one
file, `outline.py` what the log holds without payloads, `log.py` the whole.

Caveats. A sector of 512 bytes is taken to be written whole or not at all, as disks promise. A last
batch that the disk acknowledged and then lost entirely leaves no trace and is not noticed; nor is
a last segment that was removed by hand. `recover` reads all segments into memory, one at a time,
and returns all entries: the caller's cutting keeps them few.
"""

from inventory_node.wal.format import Identity
from inventory_node.wal.log import Recovered, WriteAheadLog, recover

__all__ = ["Identity", "Recovered", "WriteAheadLog", "recover"]
