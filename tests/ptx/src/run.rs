//! Execution: warps in lockstep, lane by lane where they part.
//!
//! Of a warp's lanes those furthest behind run next, all that stand at the same instruction together.
//! So lanes that parted meet again where their ways join. A lane that names others in a mask waits
//! until they stand at the same instruction.

use crate::arithmetic;
use crate::fault::{Fault, FaultKind};
use crate::instruction::{
    Address, Atomic, Binary, Instruction, Kernel, Op, Operand, Register, Shuffle, Space, Type,
};
use crate::memory::Memory;
use crate::parse::SHARED_BASE;
use crate::race::{Access, Races};
use crate::traffic::Traffic;
use crate::{LaunchReport, Options};

const LANES: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Runs,
    /// At an instruction that names lanes.
    WaitsForWarp,
    WaitsForBlock,
    Done,
}

#[derive(Clone, Debug)]
struct Thread {
    at: usize,
    state: State,
    registers: Vec<u64>,
    warp_epoch: u32,
}

/// A launch that is under way.
pub(crate) struct Launch<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) params: &'a [u8],
    pub(crate) memory: &'a mut Memory,
    pub(crate) options: &'a Options,
    pub(crate) n_blocks: u32,
    block: u32,
    block_epoch: u32,
    shared: Vec<u8>,
    is_written: Vec<bool>,
    threads: Vec<Thread>,
    shared_races: Races,
    global_races: Races,
    traffic: Traffic,
    n_instructions: u64,
}

impl<'a> Launch<'a> {
    pub(crate) fn new(
        kernel: &'a Kernel,
        n_blocks: u32,
        params: &'a [u8],
        memory: &'a mut Memory,
        options: &'a Options,
    ) -> Self {
        let thread =
            Thread { at: 0, state: State::Runs, registers: vec![0; kernel.n_registers], warp_epoch: 0 };
        Self {
            kernel,
            params,
            memory,
            options,
            n_blocks,
            block: 0,
            block_epoch: 0,
            shared: vec![0xcd; kernel.shared_bytes],
            is_written: vec![false; kernel.shared_bytes],
            threads: vec![thread; kernel.n_threads],
            shared_races: Races::default(),
            global_races: Races::default(),
            traffic: Traffic::default(),
            n_instructions: 0,
        }
    }

    pub(crate) fn run(mut self) -> Result<LaunchReport, Fault> {
        let mut blocks: Vec<u32> = (0..self.n_blocks).collect();
        let mut order = self.options.seed;
        permute(&mut blocks, &mut order);
        for block in blocks {
            self.run_block(block, &mut order)?;
        }
        Ok(self.traffic.report(self.n_instructions))
    }

    fn run_block(&mut self, block: u32, order: &mut u64) -> Result<(), Fault> {
        self.block = block;
        self.block_epoch = 0;
        self.is_written.fill(false);
        self.shared_races.clear();
        for thread in &mut self.threads {
            thread.at = 0;
            thread.state = State::Runs;
            thread.warp_epoch = 0;
        }
        let mut warps: Vec<usize> = (0..self.threads.len().div_ceil(LANES)).collect();
        loop {
            permute(&mut warps, order);
            for warp in &warps {
                self.run_warp(*warp * LANES)?;
            }
            let n_waiting = self.threads.iter().filter(|t| t.state == State::WaitsForBlock).count();
            let n_done = self.threads.iter().filter(|t| t.state == State::Done).count();
            if n_done == self.threads.len() {
                return Ok(());
            }
            if n_waiting < self.threads.len() {
                let text = format!("{n_waiting} threads wait at a barrier, {n_done} of the block are gone");
                let thread = self.threads.iter().position(|t| t.state == State::WaitsForBlock).unwrap_or(0);
                return Err(self.place(FaultKind::Divergence.with(text), thread));
            }
            self.block_epoch += 1;
            for thread in &mut self.threads {
                thread.state = State::Runs;
                thread.at += 1;
            }
        }
    }

    /// Runs the lanes of a warp until each is done or waits for the block.
    fn run_warp(&mut self, first: usize) -> Result<(), Fault> {
        let end = (first + LANES).min(self.threads.len());
        loop {
            let running = self.threads[first..end].iter().filter(|t| t.state == State::Runs);
            let Some(at) = running.map(|t| t.at).min() else {
                if self.threads[first..end].iter().any(|t| t.state == State::WaitsForWarp) {
                    let waiting = (first..end).find(|t| self.threads[*t].state == State::WaitsForWarp);
                    let text = "a lane waits for lanes that never come".to_owned();
                    return Err(self.place(FaultKind::Divergence.with(text), waiting.unwrap_or(first)));
                }
                return Ok(());
            };
            let active: Vec<usize> = (first..end)
                .filter(|t| self.threads[*t].state == State::Runs && self.threads[*t].at == at)
                .collect();
            self.step(first, at, &active)?;
        }
    }

    /// One instruction of the lanes that stand at it.
    fn step(&mut self, first: usize, at: usize, active: &[usize]) -> Result<(), Fault> {
        self.n_instructions += 1;
        if self.n_instructions > self.options.max_instructions {
            return Err(self.place(FaultKind::Endless.with("too many instructions".to_owned()), active[0]));
        }
        let kernel = self.kernel;
        let Some(instruction) = kernel.code.get(at) else {
            return Err(self.place(FaultKind::Launch.with("the code has no end".to_owned()), active[0]));
        };
        let runs = |t: &Thread| {
            instruction.guard.is_none_or(|(register, wanted)| (t.registers[register as usize] != 0) == wanted)
        };
        let mut chosen = Vec::with_capacity(active.len());
        for t in active {
            if runs(&self.threads[*t]) {
                chosen.push(*t);
            } else {
                self.threads[*t].at += 1;
            }
        }
        if chosen.is_empty() {
            return Ok(());
        }
        if let Some(mask) = instruction.warp_mask() {
            for t in &chosen {
                self.threads[*t].state = State::WaitsForWarp;
            }
            return self.meet(first, at, instruction, mask);
        }
        match &instruction.op {
            Op::Branch { to } => chosen.iter().for_each(|t| self.threads[*t].at = *to),
            Op::Return => chosen.iter().for_each(|t| self.threads[*t].state = State::Done),
            Op::BlockBarrier => chosen.iter().for_each(|t| self.threads[*t].state = State::WaitsForBlock),
            op => {
                self.traffic.begin();
                for t in &chosen {
                    self.execute(op, instruction.line, *t).map_err(|fault| self.place(fault, *t))?;
                    self.threads[*t].at += 1;
                }
                self.traffic.end();
            }
        }
        Ok(())
    }

    /// Lets lanes go on that wait at the same instruction, once all that they name are there.
    fn meet(
        &mut self,
        first: usize,
        at: usize,
        instruction: &Instruction,
        mask: Operand,
    ) -> Result<(), Fault> {
        let end = (first + LANES).min(self.threads.len());
        let here: Vec<usize> = (first..end)
            .filter(|t| self.threads[*t].state == State::WaitsForWarp && self.threads[*t].at == at)
            .collect();
        let wanted = self.value(mask, here[0]) as u32;
        let present = here.iter().fold(0_u32, |all, t| all | 1 << (t - first));
        if here.iter().any(|t| self.value(mask, *t) as u32 != wanted || wanted >> (t - first) & 1 == 0) {
            let text = format!("lanes {present:#x} name different masks, or not themselves");
            return Err(self.place(FaultKind::Divergence.with(text), here[0]));
        }
        // Lanes that a short last warp does not have cannot come.
        if present != wanted {
            return Ok(());
        }
        let values: Vec<(usize, Option<(Register, u64)>)> =
            here.iter().map(|t| (*t, self.exchanged(&instruction.op, first, *t, &here))).collect();
        for (t, result) in values {
            let thread = &mut self.threads[t];
            if let Some((to, value)) = result {
                thread.registers[to as usize] = value;
            }
            thread.state = State::Runs;
            thread.at += 1;
            thread.warp_epoch += 1;
        }
        Ok(())
    }

    fn exchanged(&self, op: &Op, first: usize, t: usize, here: &[usize]) -> Option<(Register, u64)> {
        match op {
            Op::Shuffle { how, to, value, lane, .. } => {
                let own = t - first;
                let by = self.value(*lane, t) as usize;
                let from = match how {
                    Shuffle::Index => by % LANES,
                    Shuffle::Butterfly => own ^ (by % LANES),
                    Shuffle::Up => own.checked_sub(by).unwrap_or(own),
                };
                Some((*to, self.value(*value, first + from)))
            }
            Op::Ballot { to, by, .. } => {
                let bit = |t: &usize| u64::from(self.value(*by, *t) != 0) << (t - first);
                Some((*to, here.iter().map(bit).sum()))
            }
            _ => None,
        }
    }

    fn value(&self, operand: Operand, t: usize) -> u64 {
        match operand {
            Operand::Register(r) => self.threads[t].registers[r as usize],
            Operand::Bits(bits) => bits,
            Operand::ThreadIdx => t as u64,
            Operand::BlockIdx => u64::from(self.block),
            Operand::BlockDim => self.threads.len() as u64,
            Operand::GridDim => u64::from(self.n_blocks),
        }
    }

    fn set(&mut self, t: usize, to: Register, value: u64) {
        self.threads[t].registers[to as usize] = value;
    }

    fn execute(&mut self, op: &Op, line: usize, t: usize) -> Result<(), Fault> {
        let impossible = || FaultKind::Arithmetic.with(format!("{op:?} has no result"));
        match op {
            Op::Move { to, from } => self.set(t, *to, self.value(*from, t)),
            Op::Pack { to, from, n_bits } => {
                let part = n_bits / from.len() as u32;
                let parts = from.iter().enumerate();
                let value = parts.fold(0, |all, (i, operand)| {
                    all | arithmetic::cut(self.value(*operand, t), part) << (i as u32 * part)
                });
                self.set(t, *to, value);
            }
            Op::Unpack { to, from, n_bits } => {
                let (value, part) = (self.value(*from, t), n_bits / to.len() as u32);
                for (i, register) in to.iter().enumerate() {
                    self.set(t, *register, arithmetic::cut(value >> (i as u32 * part), part));
                }
            }
            Op::Load { space, ty, to, at } => {
                let n_bytes = ty.n_bits() as usize / 8;
                let address = self.address(*at, t);
                if *space != Space::Param && !address.is_multiple_of((n_bytes * to.len()) as u64) {
                    return Err(FaultKind::Misaligned.at(address, "a vector"));
                }
                for (i, register) in to.iter().enumerate() {
                    let bits = self.load(*space, address + (i * n_bytes) as u64, n_bytes, t, line)?;
                    self.set(t, *register, extended(bits, *ty));
                }
            }
            Op::Store { space, ty, from, at } => {
                let n_bytes = ty.n_bits() as usize / 8;
                let address = self.address(*at, t);
                if !address.is_multiple_of((n_bytes * from.len()) as u64) {
                    return Err(FaultKind::Misaligned.at(address, "a vector"));
                }
                for (i, operand) in from.iter().enumerate() {
                    let value = self.value(*operand, t);
                    self.note(*space, address + (i * n_bytes) as u64, n_bytes, true, t, line, false)?;
                    self.store(*space, address + (i * n_bytes) as u64, n_bytes, value)?;
                }
            }
            Op::Atomic { space, what, ty, to, at, value } => {
                let n_bytes = ty.n_bits() as usize / 8;
                let address = self.address(*at, t);
                self.note(*space, address, n_bytes, true, t, line, true)?;
                let old = self.fetch(*space, address, n_bytes)?;
                let value = self.value(*value, t);
                let what = match what {
                    Atomic::Add => Binary::Add,
                    Atomic::Min => Binary::Min,
                    Atomic::Max => Binary::Max,
                    Atomic::Or => Binary::Or,
                };
                let new = arithmetic::binary(what, *ty, old, value).ok_or_else(impossible)?;
                self.store(*space, address, n_bytes, new)?;
                self.set(t, *to, old);
            }
            Op::Unary { what, ty, to, a } => {
                let value = arithmetic::unary(*what, *ty, self.value(*a, t)).ok_or_else(impossible)?;
                self.set(t, *to, value);
            }
            Op::Binary { what, ty, to, a, b } => {
                let (a, b) = (self.value(*a, t), self.value(*b, t));
                let value = arithmetic::binary(*what, *ty, a, b).ok_or_else(impossible)?;
                self.set(t, *to, value);
            }
            Op::MulAdd { ty, to, a, b, c } => {
                let value = arithmetic::mul_add(*ty, self.value(*a, t), self.value(*b, t), self.value(*c, t));
                self.set(t, *to, value);
            }
            Op::Select { to, a, b, by } => {
                let chosen = if self.value(*by, t) != 0 { *a } else { *b };
                self.set(t, *to, self.value(chosen, t));
            }
            Op::Compare { what, ty, to, a, b } => {
                let is_so = arithmetic::compare(*what, *ty, self.value(*a, t), self.value(*b, t));
                self.set(t, *to, u64::from(is_so));
            }
            Op::Convert { to_type, from_type, rounding, to, a } => {
                let value = arithmetic::convert(*to_type, *from_type, *rounding, self.value(*a, t));
                self.set(t, *to, value.ok_or_else(impossible)?);
            }
            Op::Permute { to, a, b, selector } => {
                let value =
                    arithmetic::permute(self.value(*a, t), self.value(*b, t), self.value(*selector, t));
                self.set(t, *to, value);
            }
            Op::Insert { to, a, b, at, n, n_bits } => {
                let [a, b, at, n] = [*a, *b, *at, *n].map(|operand| self.value(operand, t));
                self.set(t, *to, arithmetic::insert(a, b, at, n, *n_bits));
            }
            _ => return Err(impossible()),
        }
        Ok(())
    }

    fn address(&self, at: Address, t: usize) -> u64 {
        self.value(at.base, t).wrapping_add(at.offset as u64)
    }

    fn load(&mut self, space: Space, at: u64, n_bytes: usize, t: usize, line: usize) -> Result<u64, Fault> {
        if space != Space::Param {
            self.note(space, at, n_bytes, false, t, line, false)?;
        }
        self.fetch(space, at, n_bytes)
    }

    fn fetch(&self, space: Space, at: u64, n_bytes: usize) -> Result<u64, Fault> {
        let bytes = match space {
            Space::Global => return self.memory.load(at, n_bytes),
            Space::Param => self.params.get(at as usize..(at as usize).saturating_add(n_bytes)),
            Space::Shared => {
                let range = self.shared_range(at, n_bytes)?;
                if !self.is_written[range.clone()].iter().all(|w| *w) {
                    return Err(FaultKind::Unwritten.at(at, "shared memory"));
                }
                self.shared.get(range)
            }
        };
        let bytes = bytes.ok_or_else(|| FaultKind::OutOfBounds.at(at, "the parameters"))?;
        let mut value = [0; 8];
        value[..n_bytes].copy_from_slice(bytes);
        Ok(u64::from_le_bytes(value))
    }

    fn store(&mut self, space: Space, at: u64, n_bytes: usize, value: u64) -> Result<(), Fault> {
        if space == Space::Global {
            return self.memory.store(at, n_bytes, value);
        }
        let range = self.shared_range(at, n_bytes)?;
        self.shared[range.clone()].copy_from_slice(&value.to_le_bytes()[..n_bytes]);
        self.is_written[range].fill(true);
        Ok(())
    }

    fn shared_range(&self, at: u64, n_bytes: usize) -> Result<std::ops::Range<usize>, Fault> {
        let start = at.wrapping_sub(SHARED_BASE);
        if !at.is_multiple_of(n_bytes as u64) {
            return Err(FaultKind::Misaligned.at(at, "shared memory"));
        }
        if start.saturating_add(n_bytes as u64) > self.shared.len() as u64 {
            return Err(FaultKind::OutOfBounds.at(at, "shared memory"));
        }
        Ok(start as usize..start as usize + n_bytes)
    }

    #[allow(clippy::too_many_arguments, reason = "an access is all of this")]
    fn note(
        &mut self,
        space: Space,
        at: u64,
        n_bytes: usize,
        writes: bool,
        t: usize,
        line: usize,
        is_atomic: bool,
    ) -> Result<(), Fault> {
        if space == Space::Global {
            self.traffic.note(at, n_bytes, writes, is_atomic);
        }
        if !self.options.check_races {
            return Ok(());
        }
        let access = Access {
            block: self.block,
            thread: t as u32,
            block_epoch: self.block_epoch,
            warp_epoch: self.threads[t].warp_epoch,
            line,
            is_atomic,
        };
        let races = if space == Space::Shared { &mut self.shared_races } else { &mut self.global_races };
        races.note(at, n_bytes, writes, access)
    }

    fn place(&self, fault: Fault, t: usize) -> Fault {
        let line =
            self.threads.get(t).and_then(|thread| self.kernel.code.get(thread.at)).map_or(0, |i| i.line);
        Fault { kernel: self.kernel.name.clone(), line, block: self.block, thread: t as u32, ..fault }
    }
}

/// A loaded value in a register.
fn extended(bits: u64, ty: Type) -> u64 {
    match ty {
        // Signed values narrower than a register are extended by their sign, to 32 bits at least.
        Type::Signed(n) if n < 32 => arithmetic::cut((((bits << (64 - n)) as i64) >> (64 - n)) as u64, 32),
        _ => bits,
    }
}

/// Puts a list in an order of the seed, which moves on; 0 leaves both.
fn permute<T>(list: &mut [T], seed: &mut u64) {
    if *seed == 0 {
        return;
    }
    for i in (1..list.len()).rev() {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        list.swap(i, (*seed >> 33) as usize % (i + 1));
    }
}
