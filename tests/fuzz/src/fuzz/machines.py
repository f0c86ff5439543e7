"""What a gateway forwards: commands and questions. What is within its bounds is applied, answered.

An exception here would end every member, one after the other.
"""

import base64
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from inventory.raft.v1 import forward_pb2, log_pb2, raw_pb2
from inventory.v1 import auth_pb2, inventory_pb2
from inventory_node.core.replies import Replies
from inventory_node.core.settings import NodeSettings
from inventory_node.core.write.proposals import Proposals
from inventory_node.machine import RULES_VERSION
from inventory_node.runtime.pages import page_of
from inventory_node.runtime.queries import _ITEM_ORDERS, _TEXTS
from raft.messages import Entry, EntryKind
from sim.machines import ADMIN, START_MS, open_database
from sim.query_asker import Asker
from wire import bounds

from fuzz.target import FuzzTarget

AS_ADMIN = raw_pb2.RawCommand(user_id=ADMIN, epoch=1).SerializeToString()
INPUTS_MAX = 2_000  # after which the machine begins anew: its state grows with what it applied
FLUSH_INPUTS = 50


class _Leader:
    """A machine over a database, and the check that a leader does before it proposes."""

    def __init__(self) -> None:
        self._inputs = 0
        self._folder = tempfile.TemporaryDirectory(prefix="fuzz-")
        settings = NodeSettings(name="node-0", member_id=1, cluster_id="cluster", members={})
        nobody: Any = None
        self._proposals = Proposals(settings, Replies(nobody, 1), nobody)
        self.asker = self._begin()

    def _begin(self) -> Asker:
        return Asker(open_database(Path(self._folder.name) / f"state-{self._inputs}.db"))

    def apply(self, command: bytes) -> None:
        """Apply a command, by whoever it is and by an admin, if a leader would propose it."""
        self._inputs += 1
        if self._inputs % INPUTS_MAX == 0:
            self.asker.database.close()
            self.asker = self._begin()
        if self._proposals._check(command) is not None:
            return
        hand = self.asker.hand
        batch = raw_pb2.RawBatch(
            stamp_ms=START_MS, rules_version=RULES_VERSION, commands=[command, command + AS_ADMIN]
        )
        index = hand.machine.applied_index + 1
        hand.machine.apply(Entry(index, 1, EntryKind.COMMAND, batch.SerializeToString()))
        if self._inputs % FLUSH_INPUTS == 0:
            hand.flush(self.asker.database)

    def ask(self, question: forward_pb2.Question) -> None:
        """Answer a question within its bounds, from memory or from the database."""
        if bounds.check_query(question.query) or bounds.check_read_options(question.read_options):
            return
        for user_id, epoch in ((question.user_id, question.epoch), (ADMIN, 1)):
            question.user_id, question.epoch = user_id, epoch
            if self.asker.hand.machine.answer(question) is None:
                (answer,) = self.asker.database.answer([(1, question)])
                if not (answer.response or answer.error):
                    raise AssertionError("a question has neither an answer nor a refusal")


@cache
def _member() -> _Leader:
    return _Leader()


def _judge_command(data: bytes) -> None:
    _member().apply(data)


def _seed_commands() -> list[bytes]:
    order = log_pb2.Command(user_id=1, epoch=1)
    order.mutation.order_item.request_id, order.mutation.order_item.item_id = "r", 1
    order.mutation.order_item.quantity = 1
    adding = log_pb2.Command(user_id=2, epoch=1)
    item = adding.mutation.add_item
    item.request_id, item.name, item.quantity = "s", "Lamp", 3
    item.price.currency_code, item.price.units = "USD", 12
    update = log_pb2.Command(user_id=2, epoch=1)
    request = update.mutation.update_item
    request.request_id, request.item.id, request.item.description = "t", 1, "new"
    request.update_mask.paths.append("description")
    creating = log_pb2.Command(user_id=3, epoch=1)
    creating.administration.request_id = "u"
    user = creating.administration.create_user.user
    user.name, user.folded_name, user.password_hash = "New", "new", "hash"
    user.role = auth_pb2.ROLE_CUSTOMER
    probe = log_pb2.Command(user_id=4, epoch=1)
    probe.probe.SetInParent()
    return [one.SerializeToString() for one in (order, adding, update, creating, probe)]


def _judge_question(data: bytes) -> None:
    try:
        question = forward_pb2.Question.FromString(data)
    except DecodeError:
        return
    _member().ask(question)


def _seed_questions() -> list[bytes]:
    seeds = []
    for kind in forward_pb2.Query.DESCRIPTOR.fields:
        question = forward_pb2.Question(user_id=ADMIN, epoch=1)
        getattr(question.query, kind.name).SetInParent()
        seeds.append(question.SerializeToString())
    listed = forward_pb2.Question(user_id=1, epoch=1)
    request = listed.query.get_all_items
    request.page_size, request.order_by, request.filter.name_contains = 2, "price desc", "item"
    return [*seeds, listed.SerializeToString()]


def _judge_page_token(data: bytes) -> None:
    """Read a token of a caller, and ask for the page behind it."""
    order = tuple(_ITEM_ORDERS)[data[0] % len(_ITEM_ORDERS)] if data else ""
    request = inventory_pb2.GetAllItemsRequest(order_by=order)
    text = data[1:].decode("utf-8", "replace")
    if data[:1] > b"\x7f":
        # The fingerprint of the question is no secret: whoever has a token can make others.
        fingerprint = page_of(request, _ITEM_ORDERS, order, texts=_TEXTS).fingerprint
        text = base64.urlsafe_b64encode(fingerprint + data[1:]).decode()
    request.page_token = text
    question = forward_pb2.Question(user_id=ADMIN, epoch=1)
    question.query.get_all_items.CopyFrom(request)
    _member().ask(question)


TARGETS = (
    FuzzTarget(name="commands", judge=_judge_command, seeds=_seed_commands, lines_per_byte=1_000),
    FuzzTarget(
        name="member_questions", judge=_judge_question, seeds=_seed_questions, lines_per_byte=1_000
    ),
    FuzzTarget(
        name="page_tokens",
        judge=_judge_page_token,
        seeds=lambda: [bytes([number]) + bytes(8) + b"Item 1" for number in (0x80, 0x81, 0x82, 2)],
        bytes_max=1_024,
    ),
)
