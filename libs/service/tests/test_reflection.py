"""Reflection answers the requests of `grpcurl` and `ghz`."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

import grpc.aio
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)
from inventory.v1 import inventory_pb2
from service import reflection
from service.faults import Faults
from service.serving import make_server
from wire.channels import straight_channel

SERVICE = inventory_pb2.DESCRIPTOR.services_by_name["InventoryService"].full_name
NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]
ALPHA, V1 = "grpc.reflection.v1alpha", "grpc.reflection.v1"


def asked(
    version: str, requests: Sequence[ServerReflectionRequest]
) -> list[ServerReflectionResponse]:
    """Ask a server that reflects the inventory's service, by one version of the protocol."""

    async def work() -> list[ServerReflectionResponse]:
        server = make_server(Faults())
        reflection.enable(server, [SERVICE])
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with straight_channel(f"127.0.0.1:{port}") as channel:
            call: Any = channel.stream_stream(
                f"/{version}.ServerReflection/ServerReflectionInfo",
                request_serializer=ServerReflectionRequest.SerializeToString,
                response_deserializer=ServerReflectionResponse.FromString,
            )
            found = [response async for response in call(iter(requests))]
        await server.stop(None)
        return found

    return asyncio.run(asyncio.wait_for(work(), 20))


def files(response: ServerReflectionResponse) -> Iterator[FileDescriptorProto]:
    """Yield the files of an answer."""
    for raw in response.file_descriptor_response.file_descriptor_proto:
        yield FileDescriptorProto.FromString(raw)


@pytest.mark.parametrize("version", [ALPHA, V1])
class TestBothVersions:
    """Tools ask by v1, and by v1alpha if a server does not have v1."""

    @pytest.mark.parametrize(
        ("symbol", "file"),
        [
            (f"{SERVICE}.GetItem", "inventory/v1/inventory.proto"),
            (f"{SERVICE}.Submit", "inventory/v1/inventory.proto"),
            (SERVICE, "inventory/v1/inventory.proto"),
            ("inventory.v1.Item", "inventory/v1/inventory.proto"),
            ("inventory.v1.Item.price", "inventory/v1/inventory.proto"),
            ("inventory.v1.Mutation.operation", "inventory/v1/inventory.proto"),
            ("inventory.v1.CONSISTENCY_STALE", "inventory/v1/inventory.proto"),
            ("google.type.Money", "google/type/money.proto"),
            (f"{ALPHA}.ServerReflection", "grpc_reflection/v1alpha/reflection.proto"),
            (f"{V1}.ServerReflection", "grpc/reflection/v1/reflection.proto"),
            (f"{V1}.ServerReflection.ServerReflectionInfo", "grpc/reflection/v1/reflection.proto"),
        ],
    )
    def test_every_symbol_is_found(self, version: str, symbol: str, file: str) -> None:
        """A service, its methods, messages and their fields, and reflection itself."""
        [response] = asked(version, [ServerReflectionRequest(file_containing_symbol=symbol)])
        found = {one.name: one for one in files(response)}
        assert file in found, response.error_response
        assert set(found[file].dependency) <= set(found)

    @pytest.mark.parametrize("symbol", ["", "inventory.v1", f"{SERVICE}.Nothing", "Nothing.x"])
    def test_what_is_not_there_is_not_found(self, version: str, symbol: str) -> None:
        """And the stream goes on."""
        request = ServerReflectionRequest(file_containing_symbol=symbol)
        for response in asked(version, [request, request]):
            assert response.error_response.error_code == NOT_FOUND
            assert response.original_request == request

    def test_the_services_are_listed_with_reflection_itself(self, version: str) -> None:
        """Each can be described."""
        [response] = asked(version, [ServerReflectionRequest(list_services="*")])
        names = [one.name for one in response.list_services_response.service]
        assert names == sorted((SERVICE, *reflection.NAMES))
        for found in asked(
            version, [ServerReflectionRequest(file_containing_symbol=name) for name in names]
        ):
            assert found.HasField("file_descriptor_response")

    def test_files_are_found_by_name(self, version: str) -> None:
        """The files of reflection v1 itself are found, too."""
        names = ["inventory/v1/inventory.proto", "grpc/reflection/v1/reflection.proto"]
        requests = [ServerReflectionRequest(file_by_filename=name) for name in names]
        for name, response in zip(names, asked(version, requests), strict=True):
            assert name in {file.name for file in files(response)}


def test_v1_is_its_own_package() -> None:
    """No name in the v1 package refers to v1alpha."""
    [response] = asked(V1, [ServerReflectionRequest(file_containing_symbol=reflection.V1_NAME)])
    [file] = files(response)
    assert file.package == V1
    assert ALPHA not in str(file)
