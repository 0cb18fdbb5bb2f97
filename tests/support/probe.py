"""Tiny static x86-64 programs that make one system call and exit with its errno (0 when it worked).

They need no libc in the container, and can enter the kernel by the 32-bit gate too.
"""

import struct

_BASE = 0x400000
_HEADERS = 64 + 56
_REGISTERS_64 = (b"\x48\xc7\xc7", b"\x48\xc7\xc6", b"\x48\xc7\xc2", b"\x49\xc7\xc2", b"\x49\xc7\xc0", b"\x49\xc7\xc1")
"""mov imm32 into rdi, rsi, rdx, r10, r8, r9."""
_EXIT_WITH_ERRNO = (
    b"\x31\xff"  # xor edi, edi
    b"\x85\xc0"  # test eax, eax
    b"\x79\x04"  # jns over the next two
    b"\xf7\xd8"  # neg eax
    b"\x89\xc7"  # mov edi, eax
    b"\xb8\x3c\x00\x00\x00"  # mov eax, 60 (exit)
    b"\x0f\x05"  # syscall
)


def syscall64(number: int, *arguments: int) -> bytes:
    """A program for system call *number* of the x86-64 table; arguments are numbers up to 2^31."""
    code = b"".join(opcode + struct.pack("<i", value) for opcode, value in zip(_REGISTERS_64, arguments, strict=False))
    return _elf(code + b"\x48\xc7\xc0" + struct.pack("<i", number) + b"\x0f\x05" + _EXIT_WITH_ERRNO)


def socketcall32(family: int) -> bytes:
    """socket(family, SOCK_SEQPACKET, 0) through the 32-bit socketcall."""
    size = 5 + 5 + 5 + 2 + len(_EXIT_WITH_ERRNO)
    arguments = _BASE + _HEADERS + size
    code = b"\xb8" + struct.pack("<I", 102) + b"\xbb" + struct.pack("<I", 1) + b"\xb9" + struct.pack("<I", arguments)
    return _elf(code + b"\xcd\x80" + _EXIT_WITH_ERRNO + struct.pack("<3I", family, 5, 0))


def _elf(code: bytes) -> bytes:
    size = _HEADERS + len(code)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01" + bytes(9),
        2,  # ET_EXEC
        62,  # EM_X86_64
        1,
        _BASE + _HEADERS,
        64,
        0,
        0,
        64,
        56,
        1,
        64,
        0,
        0,
    )
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000) + code
