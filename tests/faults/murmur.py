"""Where a key lives: murmur2 as Kafka's Java client has it, written anew."""

from typing import Final

SEED: Final = 0x9747B28C
MULTIPLIER: Final = 0x5BD1E995
MASK: Final = 0xFFFFFFFF


def home(key: str, partitions: int) -> int:
    """Return the partition of *key*."""
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def murmur2(data: bytes) -> int:
    """Return the hash of *data*, 32 bits."""
    hashed = SEED ^ len(data)
    whole = len(data) & ~3
    for begin in range(0, whole, 4):
        word = int.from_bytes(data[begin : begin + 4], "little")
        word = (word * MULTIPLIER) & MASK
        word = ((word ^ (word >> 24)) * MULTIPLIER) & MASK
        hashed = ((hashed * MULTIPLIER) & MASK) ^ word
    if rest := data[whole:]:
        hashed ^= int.from_bytes(rest, "little")
        hashed = (hashed * MULTIPLIER) & MASK
    hashed = ((hashed ^ (hashed >> 13)) * MULTIPLIER) & MASK
    return hashed ^ (hashed >> 15)
