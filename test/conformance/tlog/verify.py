#!/usr/bin/env python3
"""Verifies a C2SP tlog-tiles directory. Shares no code with the server: standard library, and `cryptography` for Ed25519.

usage: verify.py --dir DIR --key FILE [--kept FILE]
Exit status 0 when every entry, every tile and the signed checkpoint agree; 1 when not, and the message names the place.
"""

import argparse
import base64
import hashlib
import re
import struct
import sys
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256


class NotVerified(Exception):
    """What does not fit, in words."""


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def tree_root(hashes: list[bytes]) -> bytes:
    """Root over leaf hashes, level by level: an odd last node moves up unchanged (equal to RFC 6962, section 2.1)."""
    if not hashes:
        return sha256()
    row = hashes
    while len(row) > 1:
        above = [sha256(b"\x01", row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        if len(row) % 2:
            above.append(row[-1])
        row = above
    return row[0]


def read_key(text: str) -> tuple[str, bytes, Ed25519PublicKey]:
    """Name, key id and key out of a verifier key (C2SP signed-note)."""
    name, key_id, encoded = text.strip().split("+", 2)
    raw = base64.b64decode(encoded, validate=True)
    if len(raw) != 33 or raw[0] != 1:
        raise NotVerified("the verifier key is not an Ed25519 key")
    expected = sha256(name.encode(), b"\n", raw)[:4]
    if bytes.fromhex(key_id) != expected:
        raise NotVerified("the verifier key does not carry its own key id")
    return name, expected, Ed25519PublicKey.from_public_bytes(raw[1:])


def open_checkpoint(path: Path, key: tuple[str, bytes, Ed25519PublicKey]) -> tuple[int, bytes]:
    """Size and root out of a checkpoint that the key has signed."""
    name, key_id, public = key
    text, separator, signatures = path.read_text(encoding="utf-8").rpartition("\n\n")
    if not separator:
        raise NotVerified(f"{path} is not a signed note")
    body = text + "\n"
    for line in signatures.splitlines():
        match = re.fullmatch("\u2014 (\\S+) (\\S+)", line)
        if match is None:
            raise NotVerified(f"{path} has a malformed signature line")
        blob = base64.b64decode(match[2], validate=True)
        if match[1] != name or blob[:4] != key_id:
            continue
        try:
            public.verify(blob[4:], body.encode())
        except InvalidSignature:
            raise NotVerified(f"the signature on {path} does not hold") from None
        break
    else:
        raise NotVerified(f"{path} is not signed by {name}")
    origin, size, root, *rest = body.split("\n")
    if origin != name or rest != [""] or not re.fullmatch("0|[1-9][0-9]*", size):
        raise NotVerified(f"{path} is the checkpoint of another log or malformed")
    return int(size), base64.b64decode(root, validate=True)


def index_path(index: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    return "/".join(groups)


def read_tile(directory: Path, level: object, index: int, width: int) -> bytes:
    partial = "" if width == WIDTH else f".p/{width}"
    path = directory / "tile" / str(level) / (index_path(index) + partial)
    try:
        return path.read_bytes()
    except OSError as error:
        raise NotVerified(f"{path} is missing (entry {index * WIDTH}): {error.strerror}") from None


def first_misfit(directory: Path, first: int, width: int, hashes: list[bytes]) -> int:
    """The first entry that is gone or another, by the tile above a bundle that is too short."""
    stored = read_tile(directory, 0, first // WIDTH, width)
    for offset, node in enumerate(hashes):
        if stored[offset * 32 : offset * 32 + 32] != node:
            return first + offset
    return first + len(hashes)


def read_entries(directory: Path, size: int):
    """Every entry in order."""
    for first in range(0, size, WIDTH):
        width = min(WIDTH, size - first)
        data = read_tile(directory, "entries", first // WIDTH, width)
        at = 0
        hashes: list[bytes] = []
        for offset in range(width):
            if at + 2 > len(data):
                bad = first_misfit(directory, first, width, hashes)
                raise NotVerified(f"entry {bad} is gone or another: the bundle ends before entry {first + offset}")
            (length,) = struct.unpack_from(">H", data, at)
            entry = data[at + 2 : at + 2 + length]
            if len(entry) != length:
                raise NotVerified(f"the bundle ends within entry {first + offset}")
            yield entry
            hashes.append(sha256(b"\x00", entry))
            at += 2 + length
        if at != len(data):
            raise NotVerified(f"the bundle of entry {first} is longer than its entries")


def check_tiles(directory: Path, leaf_hashes: list[bytes]) -> None:
    """Every tile holds the hashes that follow from the entries; the lowest level names the entry."""
    level, row = 0, leaf_hashes
    while row:
        for index in range(0, (len(row) + WIDTH - 1) // WIDTH):
            expected = row[index * WIDTH : (index + 1) * WIDTH]
            stored = read_tile(directory, level, index, len(expected))
            for offset, node in enumerate(expected):
                if stored[offset * 32 : offset * 32 + 32] != node:
                    entry = (index * WIDTH + offset) * WIDTH**level
                    raise NotVerified(f"entry {entry} is not what tile {level}/{index} holds")
            if len(stored) != 32 * len(expected):
                raise NotVerified(f"tile {level}/{index} has the wrong length")
        row = [tree_root(row[i : i + WIDTH]) for i in range(0, len(row) - WIDTH + 1, WIDTH)]
        level += 1


def verify(directory: Path, key_file: Path, kept_file: Path | None) -> str:
    key = read_key(key_file.read_text(encoding="utf-8"))
    size, root = open_checkpoint(directory / "checkpoint", key)
    leaf_hashes = [sha256(b"\x00", entry) for entry in read_entries(directory, size)]
    check_tiles(directory, leaf_hashes)
    if tree_root(leaf_hashes) != root:
        raise NotVerified(f"the {size} entries do not have the root that was signed")
    if kept_file is not None:
        kept_size, kept_root = open_checkpoint(kept_file, key)
        if kept_size > size:
            raise NotVerified(f"the log has {size} entries, the kept checkpoint {kept_size}")
        if tree_root(leaf_hashes[:kept_size]) != kept_root:
            raise NotVerified(f"the first {kept_size} entries are not those of the kept checkpoint")
    return f"verified {size} entries, root {base64.b64encode(root).decode()}"


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--kept", type=Path)
    args = parser.parse_args()
    try:
        print(verify(args.dir, args.key, args.kept))
    except (NotVerified, ValueError, OSError) as error:
        print(f"not verified: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
