//! Instructions: PTX, decoded once into what is quick to run.

/// A register of a thread, by its number within the kernel.
pub(crate) type Register = u16;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Register(Register),
    /// Bits of a constant, or an address.
    Bits(u64),
    ThreadIdx,
    BlockIdx,
    BlockDim,
    GridDim,
}

/// How the bits of an operation are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Predicates and bits without a meaning.
    Bits(u32),
    Unsigned(u32),
    Signed(u32),
    Float(u32),
}

impl Type {
    pub(crate) fn n_bits(self) -> u32 {
        match self {
            Self::Bits(n) | Self::Unsigned(n) | Self::Signed(n) | Self::Float(n) => n,
        }
    }
}

/// Where an address points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Space {
    Param,
    Shared,
    /// Generic addresses as well: what the kernels use them for lies there.
    Global,
}

/// An address: a base and a constant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) base: Operand,
    pub(crate) offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compare {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    /// As the ones above, or one is no number.
    LtOrNan,
    LeOrNan,
    GtOrNan,
    GeOrNan,
    NeOrNan,
    Nan,
}

/// Operations of one value for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unary {
    Not,
    Neg,
    Abs,
    PopulationCount,
    LeadingZeros,
    Reciprocal,
}

/// Operations of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    /// The whole product, twice as wide.
    MulWide,
    Div,
    Rem,
    Min,
    Max,
    And,
    Or,
    Xor,
    ShiftLeft,
    ShiftRight,
}

/// What an atomic does to memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Atomic {
    Add,
    Min,
    Max,
    Or,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounding {
    /// None, or to the nearest.
    Nearest,
    /// To an integer, towards zero.
    Zero,
    /// To an integer, downwards.
    Down,
}

/// From which lane a shuffle takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shuffle {
    Index,
    Up,
    Butterfly,
}

/// What an instruction does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Move {
        to: Register,
        from: Operand,
    },
    /// Parts of equal width, the lowest first.
    Pack {
        to: Register,
        from: Vec<Operand>,
        n_bits: u32,
    },
    Unpack {
        to: Vec<Register>,
        from: Operand,
        n_bits: u32,
    },
    Load {
        space: Space,
        ty: Type,
        to: Vec<Register>,
        at: Address,
    },
    Store {
        space: Space,
        ty: Type,
        from: Vec<Operand>,
        at: Address,
    },
    Atomic {
        space: Space,
        what: Atomic,
        ty: Type,
        to: Register,
        at: Address,
        value: Operand,
    },
    Unary {
        what: Unary,
        ty: Type,
        to: Register,
        a: Operand,
    },
    Binary {
        what: Binary,
        ty: Type,
        to: Register,
        a: Operand,
        b: Operand,
    },
    /// `a * b + c`: fused for floats, the low half for integers.
    MulAdd {
        ty: Type,
        to: Register,
        a: Operand,
        b: Operand,
        c: Operand,
    },
    Select {
        to: Register,
        a: Operand,
        b: Operand,
        by: Operand,
    },
    Compare {
        what: Compare,
        ty: Type,
        to: Register,
        a: Operand,
        b: Operand,
    },
    Convert {
        to_type: Type,
        from_type: Type,
        rounding: Rounding,
        to: Register,
        a: Operand,
    },
    Permute {
        to: Register,
        a: Operand,
        b: Operand,
        selector: Operand,
    },
    /// Puts `n` bits of `a` into `b`, from a position on.
    Insert {
        to: Register,
        a: Operand,
        b: Operand,
        at: Operand,
        n: Operand,
        n_bits: u32,
    },
    Branch {
        to: usize,
    },
    Return,
    BlockBarrier,
    WarpBarrier {
        mask: Operand,
    },
    Shuffle {
        how: Shuffle,
        to: Register,
        value: Operand,
        lane: Operand,
        mask: Operand,
    },
    Ballot {
        to: Register,
        by: Operand,
        mask: Operand,
    },
}

/// An instruction of a kernel.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Instruction {
    /// Line of the PTX text.
    pub(crate) line: usize,
    /// Runs only where this register is set, or is not.
    pub(crate) guard: Option<(Register, bool)>,
    pub(crate) op: Op,
}

impl Instruction {
    /// Whether lanes wait here for each other, and for which.
    pub(crate) fn warp_mask(&self) -> Option<Operand> {
        match &self.op {
            Op::WarpBarrier { mask } | Op::Shuffle { mask, .. } | Op::Ballot { mask, .. } => Some(*mask),
            _ => None,
        }
    }
}

/// A kernel, decoded.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    pub(crate) name: String,
    pub(crate) params_bytes: usize,
    pub(crate) n_threads: usize,
    pub(crate) n_registers: usize,
    pub(crate) shared_bytes: usize,
    pub(crate) code: Vec<Instruction>,
}
