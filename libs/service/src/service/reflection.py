"""gRPC reflection as tools use it: both versions of the service, and every symbol.

The grpcio-reflection library serves v1alpha only, and finds no method by the method's name, since
protobuf's pool does not. `ghz` and `grpcurl describe` ask for methods. Both prefer v1, whose
messages have the same bytes as those of v1alpha.
"""

from collections.abc import Sequence
from typing import Any

import grpc
import grpc.aio
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import FileDescriptor
from grpc_reflection.v1alpha import reflection, reflection_pb2

_ALPHA = "grpc.reflection.v1alpha"
_V1 = "grpc.reflection.v1"
_METHOD = "ServerReflectionInfo"
V1_NAME = f"{_V1}.ServerReflection"
NAMES = (V1_NAME, reflection.SERVICE_NAME)


class SymbolPool:
    """A descriptor pool for the library's servicer; it knows methods, and reflection v1, too."""

    def __init__(self) -> None:
        """Know the schema files that this process has imported."""
        # The type stubs leave out methods of the pools.
        self._pool: Any = descriptor_pool.Default()
        self._v1: Any = _pool_of_v1()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - as the pool has it
        """Leave everything about messages and extensions to the pool."""
        return getattr(self._pool, name)

    def FindFileByName(self, name: str) -> FileDescriptor:  # noqa: N802 - as the pool has it
        """Return a file; raise KeyError."""
        try:
            found: FileDescriptor = self._pool.FindFileByName(name)
        except KeyError:
            found = self._v1.FindFileByName(name)
        return found

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802 - likewise
        """Return the file that declares a symbol, for instance a method; raise KeyError."""
        for pool in (self._pool, self._v1):
            for find in (pool.FindFileContainingSymbol, _method_finder(pool)):
                try:
                    found: FileDescriptor = find(symbol)
                except KeyError:
                    continue
                return found
        raise KeyError(symbol)


def _method_finder(pool: Any) -> Any:  # noqa: ANN401 - a pool in, a function out
    def find(symbol: str) -> FileDescriptor:
        found: FileDescriptor = pool.FindMethodByName(symbol).containing_service.file
        return found

    return find


def _pool_of_v1() -> descriptor_pool.DescriptorPool:
    """Return a pool that holds v1 of reflection: v1alpha's file under v1's package."""
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    file.package = _V1
    file.name = "grpc/reflection/v1/reflection.proto"
    file.ClearField("options")  # the places of v1alpha's stubs in other languages
    for message in file.message_type:
        for field in filter(lambda field: field.type_name, message.field):
            field.type_name = field.type_name.replace(_ALPHA, _V1)
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(_ALPHA, _V1)
            method.output_type = method.output_type.replace(_ALPHA, _V1)
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return pool


def enable(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """Serve reflection for services by their full names, and for itself."""
    pool: Any = SymbolPool()
    names = (*services, *NAMES)
    reflection.enable_server_reflection(names, server, pool)
    servicer: Any = reflection.aio.ReflectionServicer(names, pool=pool)
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    v1 = grpc.method_handlers_generic_handler(V1_NAME, {_METHOD: handler})
    server.add_generic_rpc_handlers((v1,))
