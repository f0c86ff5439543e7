"""What passes between processes is a frame, by the encoder and the decoder that ship."""

from inventory_node.core.claims import problem_of, survey_problem
from inventory_node.core.node import Node
from inventory_node.ports import PeerMessage, Survey, SurveyReply
from link.errors import FrameError
from link.frames import FrameDecoder, FrameEncoder, FrameKind

from sim.violation import SafetyViolation


def carried(kind: FrameKind, payload: bytes) -> bytes:
    """Return a payload as it comes out of the decoder at the other end."""
    decoder = FrameDecoder(frozenset({kind}))
    try:
        decoder.feed(FrameEncoder().encode(kind, payload))
        frame = decoder.next_frame()
    except FrameError as error:
        raise SafetyViolation(f"a frame that was sent is refused: {error}") from error
    if frame is None or frame[0] is not kind or len(decoder):
        raise SafetyViolation(f"a {kind.name} does not come out as one frame")
    return frame[1]


def check_claims(message: PeerMessage, node: Node) -> None:
    """Raise SafetyViolation if a member would take an honest message for one that cannot be true.

    Every message of this world is honest, however late it is.
    """
    if isinstance(message, Survey | SurveyReply):
        problem = survey_problem(message, node.known)
    else:
        problem = problem_of(message, node.known)
    if problem:
        raise SafetyViolation(f"an honest message is refused: {problem}: {message}")
