# msgpack ships no types: this is the part that codec.py uses.
from collections.abc import Callable
from typing import Any

class Timestamp: ...

class Packer:
    def __init__(self, *, autoreset: bool = ..., use_bin_type: bool = ...) -> None: ...
    def pack(self, value: object) -> bytes: ...

def unpackb(
    packed: bytes | bytearray | memoryview,
    *,
    raw: bool = ...,
    strict_map_key: bool = ...,
    object_pairs_hook: Callable[[list[tuple[Any, Any]]], Any] | None = ...,
    ext_hook: Callable[[int, bytes], Any] = ...,
) -> Any: ...

def packb(value: object) -> bytes: ...
