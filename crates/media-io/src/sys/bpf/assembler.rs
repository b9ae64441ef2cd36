//! A small assembler of eBPF instructions.

use std::os::fd::{AsFd, AsRawFd};

use super::Map;

/// A register. `R0` is what a call returned, `R1` to `R5` are its arguments and lost by it, `R10`
/// is the frame pointer and cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(missing_docs)] // the numbers are the names
pub enum Reg {
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
}

/// How much a load or a store moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Size {
    /// Four octets.
    Word = 0x00,
    /// Two octets.
    Half = 0x08,
    /// Eight octets.
    Double = 0x18,
}

/// What arithmetic on 64 bits does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Alu {
    /// Adds.
    Add = 0x00,
    /// Subtracts.
    Sub = 0x10,
    /// Multiplies.
    Mul = 0x20,
    /// Is true for each bit in either.
    Or = 0x40,
    /// Shifts left.
    Shl = 0x60,
    /// Shifts right, zeros from the left.
    Shr = 0x70,
    /// Copies.
    Mov = 0xb0,
}

/// What makes a jump be taken. All comparisons are unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum If {
    /// Equal.
    Equal = 0x10,
    /// The register is greater.
    Greater = 0x20,
    /// Not equal.
    Differs = 0x50,
    /// The register is less.
    Less = 0xa0,
}

/// A function of the kernel that a program calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Helper {
    /// `bpf_map_lookup_elem(map, key)`.
    MapLookup = 1,
    /// `bpf_sk_release(sock)`.
    SkRelease = 86,
    /// `bpf_sk_assign(ctx, sock, flags)`.
    SkAssign = 124,
    /// `bpf_ktime_get_coarse_ns()`.
    CoarseTime = 160,
}

/// A place in a program that jumps lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label(usize);

/// A program that cannot be put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssemblyError {
    /// A jump leads to a label that was never placed.
    #[error("a jump leads to a label that was never placed")]
    NoLabel,
    /// A jump spans more than 32,767 instructions.
    #[error("a jump is too far")]
    TooFar,
}

/// Puts a program together, instruction by instruction.
#[derive(Debug, Default)]
pub struct Assembler {
    code: Vec<u64>,
    labels: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// No instruction yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A label to be placed later, with [`place`](Self::place).
    pub fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Jumps to `label` lead to the next instruction.
    pub fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    /// `to = to ∘ from`.
    pub fn alu(&mut self, op: Alu, to: Reg, from: Reg) {
        self.emit(0x0f | op as u8, to as u8, from as u8, 0, 0);
    }

    /// `to = to ∘ value`, the value extended with its sign.
    pub fn alu_imm(&mut self, op: Alu, to: Reg, value: i32) {
        self.emit(0x07 | op as u8, to as u8, 0, 0, value);
    }

    /// `to = to ∘ from` on the lower 32 bits; the upper ones become zero.
    pub fn alu32(&mut self, op: Alu, to: Reg, from: Reg) {
        self.emit(0x0c | op as u8, to as u8, from as u8, 0, 0);
    }

    /// `to = value`, all 64 bits.
    pub fn load_imm(&mut self, to: Reg, value: u64) {
        self.emit(0x18, to as u8, 0, 0, value as u32 as i32);
        self.emit(0, 0, 0, 0, (value >> 32) as u32 as i32);
    }

    /// `to = map`.
    pub fn load_map(&mut self, to: Reg, map: &Map) {
        const PSEUDO_MAP_FD: u8 = 1;
        self.emit(0x18, to as u8, PSEUDO_MAP_FD, 0, map.as_fd().as_raw_fd());
        self.emit(0, 0, 0, 0, 0);
    }

    /// `to = *(base + offset)`.
    pub fn load(&mut self, size: Size, to: Reg, base: Reg, offset: i16) {
        self.emit(0x61 | size as u8, to as u8, base as u8, offset, 0);
    }

    /// `*(base + offset) = from`.
    pub fn store(&mut self, size: Size, base: Reg, offset: i16, from: Reg) {
        self.emit(0x63 | size as u8, base as u8, from as u8, offset, 0);
    }

    /// `*(base + offset) += from`, atomically, eight octets.
    pub fn atomic_add(&mut self, base: Reg, offset: i16, from: Reg) {
        self.emit(0xdb, base as u8, from as u8, offset, 0);
    }

    /// Goes on at `label`.
    pub fn jump(&mut self, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.emit(0x05, 0, 0, 0, 0);
    }

    /// Goes on at `label` if the comparison of the registers holds.
    pub fn jump_if(&mut self, condition: If, a: Reg, b: Reg, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.emit(0x0d | condition as u8, a as u8, b as u8, 0, 0);
    }

    /// Goes on at `label` if the comparison of the whole register with `value` holds.
    pub fn jump_if_imm(&mut self, condition: If, a: Reg, value: i32, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.emit(0x05 | condition as u8, a as u8, 0, 0, value);
    }

    /// Goes on at `label` if the comparison of the lower 32 bits with `value` holds.
    pub fn jump_if_word(&mut self, condition: If, a: Reg, value: u32, label: Label) {
        self.jumps.push((self.code.len(), label));
        self.emit(0x06 | condition as u8, a as u8, 0, 0, value as i32);
    }

    /// Calls a function of the kernel.
    pub fn call(&mut self, helper: Helper) {
        self.emit(0x85, 0, 0, 0, helper as i32);
    }

    /// Ends the program; what it returns is in `R0`.
    pub fn exit(&mut self) {
        self.emit(0x95, 0, 0, 0, 0);
    }

    /// The program with its jumps filled in.
    pub fn finish(mut self) -> Result<Vec<u64>, AssemblyError> {
        for (at, label) in self.jumps {
            let to = self.labels[label.0].ok_or(AssemblyError::NoLabel)?;
            let distance = i16::try_from(to as i64 - at as i64 - 1);
            let distance = distance.map_err(|_| AssemblyError::TooFar)?;
            self.code[at] |= u64::from(distance as u16) << 16;
        }
        Ok(self.code)
    }

    /// `struct bpf_insn` as one number: code, registers, offset, immediate.
    fn emit(&mut self, code: u8, dst: u8, src: u8, offset: i16, imm: i32) {
        let (code, registers) = (u64::from(code), u64::from(src << 4 | dst));
        let (offset, imm) = (u64::from(offset as u16), u64::from(imm as u32));
        let word = code | registers << 8 | offset << 16 | imm << 32;
        self.code.push(u64::from_le_bytes(in_memory(word)));
    }
}

/// The octets of an instruction. Only little-endian machines are built for.
fn in_memory(word: u64) -> [u8; 8] {
    const { assert!(cfg!(target_endian = "little")) }
    word.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `llvm-objdump` and the kernel's documentation write them.
    #[test]
    fn instructions_are_encoded_as_the_kernel_reads_them() {
        let mut code = Assembler::new();
        let end = code.label();
        code.alu_imm(Alu::Mov, Reg::R0, 1);
        code.alu(Alu::Mov, Reg::R6, Reg::R1);
        code.load(Size::Word, Reg::R2, Reg::R6, 44);
        code.load(Size::Half, Reg::R2, Reg::R6, 36);
        code.load(Size::Double, Reg::R2, Reg::R8, -8);
        code.store(Size::Word, Reg::R10, -4, Reg::R8);
        code.jump_if_imm(If::Equal, Reg::R0, 0, end);
        code.jump_if_word(If::Differs, Reg::R2, 0xffff_ffff, end);
        code.atomic_add(Reg::R8, 24, Reg::R1);
        code.call(Helper::MapLookup);
        code.place(end);
        code.exit();
        let octets: Vec<[u8; 8]> = code
            .finish()
            .unwrap()
            .into_iter()
            .map(u64::to_le_bytes)
            .collect();
        assert_eq!(
            octets,
            [
                [0xb7, 0x00, 0, 0, 1, 0, 0, 0],
                [0xbf, 0x16, 0, 0, 0, 0, 0, 0],
                [0x61, 0x62, 44, 0, 0, 0, 0, 0],
                [0x69, 0x62, 36, 0, 0, 0, 0, 0],
                [0x79, 0x82, 0xf8, 0xff, 0, 0, 0, 0],
                [0x63, 0x8a, 0xfc, 0xff, 0, 0, 0, 0],
                [0x15, 0x00, 3, 0, 0, 0, 0, 0],
                [0x56, 0x02, 2, 0, 0xff, 0xff, 0xff, 0xff],
                [0xdb, 0x18, 24, 0, 0, 0, 0, 0],
                [0x85, 0x00, 0, 0, 1, 0, 0, 0],
                [0x95, 0x00, 0, 0, 0, 0, 0, 0],
            ]
        );
    }

    #[test]
    fn a_label_that_was_never_placed_is_an_error() {
        let mut code = Assembler::new();
        let nowhere = code.label();
        code.jump(nowhere);
        assert_eq!(code.finish(), Err(AssemblyError::NoLabel));
    }
}
