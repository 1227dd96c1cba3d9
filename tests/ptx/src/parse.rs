//! Parser: PTX as the pinned compiler writes it, a statement at a time.

use crate::instruction::{
    Address, Atomic, Binary, Compare, Instruction, Kernel, Op, Operand, Register, Rounding, Shuffle, Space,
    Type, Unary,
};
use std::collections::HashMap;
use thiserror::Error;

/// Where shared memory starts among addresses: far from what [`crate::Memory`] gives out.
pub(crate) const SHARED_BASE: u64 = 0x1_0000;

/// What is not understood, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub struct ParseError {
    /// Line of the text, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub problem: String,
}

/// Reads every kernel of a module.
pub(crate) fn parse(text: &str) -> Result<Vec<Kernel>, ParseError> {
    let mut kernels = Vec::new();
    let mut lines = text.lines().enumerate().map(|(i, l)| (i + 1, l.split("//").next().unwrap_or("").trim()));
    while let Some((line, text)) = lines.next() {
        let Some(rest) = text.strip_prefix(".visible .entry ") else { continue };
        let mut head = rest.to_owned();
        let mut body = Vec::new();
        for (_, text) in lines.by_ref() {
            if text == "{" {
                break;
            }
            head = head + " " + text;
        }
        // Scopes within are of names that nobody else has.
        let mut depth = 1;
        for (line, text) in lines.by_ref() {
            depth += i32::from(text == "{") - i32::from(text == "}");
            if depth == 0 {
                break;
            }
            body.push((line, text));
        }
        kernels.push(Decoder::decode(line, &head, &body)?);
    }
    Ok(kernels)
}

struct Decoder {
    registers: HashMap<String, Register>,
    shared: HashMap<String, u64>,
    shared_bytes: u64,
    labels: HashMap<String, usize>,
    param: String,
    line: usize,
}

impl Decoder {
    fn decode(line: usize, head: &str, body: &[(usize, &str)]) -> Result<Kernel, ParseError> {
        let mut decoder = Self {
            registers: HashMap::new(),
            shared: HashMap::new(),
            shared_bytes: 0,
            labels: HashMap::new(),
            param: String::new(),
            line,
        };
        let name = head.split('(').next().unwrap_or("").trim().to_owned();
        let number = |text: Option<&str>| text.and_then(|t| t.trim().parse::<usize>().ok());
        let after = |what: &str| head.split_once(what).map(|(_, rest)| rest);
        let params_bytes = number(after("[").and_then(|r| r.split(']').next()));
        let n_threads = number(after(".maxntid ").and_then(|r| r.split(',').next()));
        let param = after(".b8 ").and_then(|r| r.split('[').next());
        let (Some(params_bytes), Some(n_threads), Some(param)) = (params_bytes, n_threads, param) else {
            return Err(decoder.error(format!("`{head}` is no entry of one parameter and `.maxntid`")));
        };
        decoder.param = param.trim().to_owned();
        // Declarations and labels first: jumps go forwards too.
        let mut statements = Vec::new();
        for (line, text) in body {
            decoder.line = *line;
            let text = text.trim_matches(|c| c == '{' || c == '}').trim();
            if text.starts_with(".shared") {
                decoder.shared(text)?;
            } else if let Some(label) = text.strip_suffix(':') {
                decoder.labels.insert(label.to_owned(), statements.len());
            } else if !text.is_empty() && !text.starts_with('.') {
                statements.push((*line, text.trim_end_matches(';').to_owned()));
            }
        }
        let mut code = Vec::with_capacity(statements.len());
        for (line, text) in &statements {
            decoder.line = *line;
            code.push(decoder.instruction(text)?);
        }
        Ok(Kernel {
            name,
            params_bytes,
            n_threads,
            n_registers: decoder.registers.len(),
            shared_bytes: decoder.shared_bytes as usize,
            code,
        })
    }

    fn error(&self, problem: String) -> ParseError {
        ParseError { line: self.line, problem }
    }

    /// `.shared .align 8 .b8 NAME[N];`
    fn shared(&mut self, text: &str) -> Result<(), ParseError> {
        let words: Vec<&str> = text.trim_end_matches(';').split_whitespace().collect();
        let [".shared", ".align", align, ty, name] = words[..] else {
            return Err(self.error(format!("`{text}` is no declaration of shared memory")));
        };
        let (name, n) = match name.split_once('[') {
            Some((name, n)) => (name, n.trim_end_matches(']').parse::<u64>().unwrap_or(0)),
            None => (name, 1),
        };
        let size = u64::from(self.type_of(&ty[1..])?.n_bits() / 8) * n;
        let align = align.parse::<u64>().unwrap_or(16).max(1);
        let at = self.shared_bytes.next_multiple_of(align);
        self.shared.insert(name.to_owned(), SHARED_BASE + at);
        self.shared_bytes = at + size;
        Ok(())
    }

    fn type_of(&self, text: &str) -> Result<Type, ParseError> {
        let n_bits = text.get(1..).and_then(|n| n.parse::<u32>().ok());
        match (text.as_bytes().first(), n_bits) {
            (Some(b'b'), Some(n)) => Ok(Type::Bits(n)),
            (Some(b'u'), Some(n)) => Ok(Type::Unsigned(n)),
            (Some(b's'), Some(n)) => Ok(Type::Signed(n)),
            (Some(b'f'), Some(n)) => Ok(Type::Float(n)),
            _ if text == "pred" => Ok(Type::Bits(1)),
            _ => Err(self.error(format!("`{text}` is no type"))),
        }
    }

    fn register(&mut self, text: &str) -> Register {
        let next = self.registers.len() as Register;
        *self.registers.entry(text.to_owned()).or_insert(next)
    }

    fn operand(&mut self, text: &str) -> Result<Operand, ParseError> {
        let text = text.trim();
        if let Some(bits) = text.strip_prefix("0f").and_then(|h| u64::from_str_radix(h, 16).ok()) {
            return Ok(Operand::Bits(bits));
        }
        if let Some(bits) = text.strip_prefix("0d").and_then(|h| u64::from_str_radix(h, 16).ok()) {
            return Ok(Operand::Bits(bits));
        }
        if let Ok(number) = text.parse::<i128>() {
            return Ok(Operand::Bits(number as u64));
        }
        if let Some(address) = self.shared.get(text) {
            return Ok(Operand::Bits(*address));
        }
        match text {
            "%tid.x" => Ok(Operand::ThreadIdx),
            "%ctaid.x" => Ok(Operand::BlockIdx),
            "%ntid.x" => Ok(Operand::BlockDim),
            "%nctaid.x" => Ok(Operand::GridDim),
            _ if text == self.param => Ok(Operand::Bits(0)),
            _ if text.starts_with('%') => Ok(Operand::Register(self.register(text))),
            _ => Err(self.error(format!("`{text}` is no register, number or name of shared memory"))),
        }
    }

    /// `[base+offset]`
    fn address(&mut self, text: &str) -> Result<Address, ParseError> {
        let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
        let (base, offset) = inner.split_once('+').unwrap_or((inner, "0"));
        let offset = offset.parse::<i64>().map_err(|_| self.error(format!("`{text}` has no offset")))?;
        Ok(Address { base: self.operand(base)?, offset })
    }

    /// One operand, or several in braces.
    fn list(&mut self, text: &str) -> Result<Vec<Operand>, ParseError> {
        text.trim_matches(|c| c == '{' || c == '}').split(',').map(|t| self.operand(t)).collect()
    }

    fn targets(&mut self, text: &str) -> Vec<Register> {
        let inner = text.trim_matches(|c| c == '{' || c == '}');
        inner.split(',').map(|t| self.register(t.trim())).collect()
    }

    fn instruction(&mut self, text: &str) -> Result<Instruction, ParseError> {
        let (guard, text) = match text.strip_prefix('@') {
            Some(rest) => {
                let (predicate, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                let name = predicate.trim_start_matches('!');
                (Some((self.register(name), !predicate.starts_with('!'))), rest.trim())
            }
            None => (None, text),
        };
        let (opcode, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        let arguments = split(rest);
        let op = self.op(opcode, &arguments)?;
        Ok(Instruction { line: self.line, guard, op })
    }

    fn op(&mut self, opcode: &str, arguments: &[String]) -> Result<Op, ParseError> {
        let parts: Vec<&str> = opcode.split('.').collect();
        let unknown = self.error(format!("`{opcode}` with {} operands is not known here", arguments.len()));
        let ty = || self.type_of(parts.last().unwrap_or(&""));
        match (parts[0], arguments) {
            ("ret", []) => Ok(Op::Return),
            ("bra", [label]) => {
                let to = self.labels.get(label).copied();
                Ok(Op::Branch { to: to.ok_or_else(|| self.error(format!("there is no label `{label}`")))? })
            }
            ("bar", [barrier]) if parts[1] == "sync" && barrier == "0" => Ok(Op::BlockBarrier),
            ("bar", [mask]) if parts[1] == "warp" => Ok(Op::WarpBarrier { mask: self.operand(mask)? }),
            ("mov", [to, from]) => {
                let n_bits = ty()?.n_bits();
                if to.starts_with('{') {
                    return Ok(Op::Unpack { to: self.targets(to), from: self.operand(from)?, n_bits });
                }
                let to = self.register(to);
                if from.starts_with('{') {
                    return Ok(Op::Pack { to, from: self.list(from)?, n_bits });
                }
                Ok(Op::Move { to, from: self.operand(from)? })
            }
            ("cvta", [to, from]) => Ok(Op::Move { to: self.register(to), from: self.operand(from)? }),
            ("ld", [to, at]) => {
                let (space, ty) = (space_of(&parts), ty()?);
                Ok(Op::Load { space, ty, to: self.targets(to), at: self.address(at)? })
            }
            ("st", [at, from]) => {
                let (space, ty) = (space_of(&parts), ty()?);
                Ok(Op::Store { space, ty, from: self.list(from)?, at: self.address(at)? })
            }
            ("atom", [to, at, value]) => {
                let what = match parts.get(2) {
                    Some(&"add") => Atomic::Add,
                    Some(&"min") => Atomic::Min,
                    Some(&"max") => Atomic::Max,
                    Some(&"or") => Atomic::Or,
                    _ => return Err(unknown),
                };
                let (space, ty) = (space_of(&parts), ty()?);
                let (to, at) = (self.register(to), self.address(at)?);
                Ok(Op::Atomic { space, what, ty, to, at, value: self.operand(value)? })
            }
            ("setp", [to, a, b]) => {
                let what = compare_of(parts[1]).ok_or(unknown)?;
                let ty = ty()?;
                let (a, b) = (self.operand(a)?, self.operand(b)?);
                Ok(Op::Compare { what, ty, to: self.register(to), a, b })
            }
            ("selp", [to, a, b, by]) => {
                let (a, b, by) = (self.operand(a)?, self.operand(b)?, self.operand(by)?);
                Ok(Op::Select { to: self.register(to), a, b, by })
            }
            ("cvt", [to, a]) => {
                let rounding = match parts[1] {
                    "rzi" => Rounding::Zero,
                    "rmi" => Rounding::Down,
                    _ => Rounding::Nearest,
                };
                let (to_type, from_type) = (self.type_of(parts[parts.len() - 2])?, ty()?);
                Ok(Op::Convert { to_type, from_type, rounding, to: self.register(to), a: self.operand(a)? })
            }
            ("prmt", [to, a, b, selector]) => {
                let (a, b, selector) = (self.operand(a)?, self.operand(b)?, self.operand(selector)?);
                Ok(Op::Permute { to: self.register(to), a, b, selector })
            }
            ("bfi", [to, a, b, at, n]) => {
                let n_bits = ty()?.n_bits();
                let (a, b) = (self.operand(a)?, self.operand(b)?);
                let (at, n) = (self.operand(at)?, self.operand(n)?);
                Ok(Op::Insert { to: self.register(to), a, b, at, n, n_bits })
            }
            ("shfl", [to, value, lane, _clamp, mask]) => {
                let how = match parts[2] {
                    "idx" => Shuffle::Index,
                    "up" => Shuffle::Up,
                    "bfly" => Shuffle::Butterfly,
                    _ => return Err(unknown),
                };
                // The second target says whether the lane was in range; the kernels never ask.
                let to = to.split('|').next().unwrap_or("");
                let (value, lane, mask) = (self.operand(value)?, self.operand(lane)?, self.operand(mask)?);
                Ok(Op::Shuffle { how, to: self.register(to), value, lane, mask })
            }
            ("vote", [to, by, mask]) if parts[2] == "ballot" => {
                let (by, mask) = (self.operand(by)?, self.operand(mask)?);
                Ok(Op::Ballot { to: self.register(to), by, mask })
            }
            ("fma" | "mad", [to, a, b, c]) if !parts.contains(&"wide") => {
                let ty = ty()?;
                let (a, b, c) = (self.operand(a)?, self.operand(b)?, self.operand(c)?);
                Ok(Op::MulAdd { ty, to: self.register(to), a, b, c })
            }
            (_, [to, a]) => {
                let what = unary_of(parts[0]).ok_or(unknown)?;
                Ok(Op::Unary { what, ty: ty()?, to: self.register(to), a: self.operand(a)? })
            }
            (_, [to, a, b]) => {
                let what = binary_of(&parts).ok_or(unknown)?;
                let ty = ty()?;
                let (a, b) = (self.operand(a)?, self.operand(b)?);
                Ok(Op::Binary { what, ty, to: self.register(to), a, b })
            }
            _ => Err(unknown),
        }
    }
}

/// Arguments by commas, those in braces and brackets kept together.
fn split(text: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let (mut depth, mut current) = (0_i32, String::new());
    for c in text.chars().filter(|c| !c.is_whitespace()) {
        match c {
            ',' if depth == 0 => arguments.push(std::mem::take(&mut current)),
            _ => {
                depth += i32::from(matches!(c, '{' | '[')) - i32::from(matches!(c, '}' | ']'));
                current.push(c);
            }
        }
    }
    if !current.is_empty() {
        arguments.push(current);
    }
    arguments
}

fn space_of(parts: &[&str]) -> Space {
    match parts.get(1) {
        Some(&"param") => Space::Param,
        Some(&"shared") => Space::Shared,
        _ => Space::Global,
    }
}

fn compare_of(text: &str) -> Option<Compare> {
    Some(match text {
        "eq" => Compare::Eq,
        "ne" => Compare::Ne,
        "lt" => Compare::Lt,
        "le" => Compare::Le,
        "gt" => Compare::Gt,
        "ge" => Compare::Ge,
        "ltu" => Compare::LtOrNan,
        "leu" => Compare::LeOrNan,
        "gtu" => Compare::GtOrNan,
        "geu" => Compare::GeOrNan,
        "neu" => Compare::NeOrNan,
        "nan" => Compare::Nan,
        _ => return None,
    })
}

fn unary_of(text: &str) -> Option<Unary> {
    Some(match text {
        "not" => Unary::Not,
        "neg" => Unary::Neg,
        "abs" => Unary::Abs,
        "popc" => Unary::PopulationCount,
        "clz" => Unary::LeadingZeros,
        "rcp" => Unary::Reciprocal,
        _ => return None,
    })
}

fn binary_of(parts: &[&str]) -> Option<Binary> {
    Some(match parts[0] {
        "add" => Binary::Add,
        "sub" => Binary::Sub,
        "mul" if parts.contains(&"wide") => Binary::MulWide,
        "mul" => Binary::Mul,
        "div" => Binary::Div,
        "rem" => Binary::Rem,
        "min" => Binary::Min,
        "max" => Binary::Max,
        "and" => Binary::And,
        "or" => Binary::Or,
        "xor" => Binary::Xor,
        "shl" => Binary::ShiftLeft,
        "shr" => Binary::ShiftRight,
        _ => return None,
    })
}
