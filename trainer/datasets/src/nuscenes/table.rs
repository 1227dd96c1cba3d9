//! A table in memory: rows by number, and by token.

use super::Token;
use rayon::prelude::*;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::ops::Index;

/// The number of a row of a [`Table`] of `T`.
pub struct Id<T>(NonZeroU32, PhantomData<fn() -> T>);

impl<T> Id<T> {
    /// Rows that can be numbered.
    pub const MAX_ROWS: usize = u32::MAX as usize - 1;

    /// The row at this place of a table; none past [`Self::MAX_ROWS`].
    pub(super) fn new(idx: usize) -> Option<Self> {
        let number = u32::try_from(idx).ok()?.checked_add(1)?;
        Some(Self(NonZeroU32::new(number)?, PhantomData))
    }

    /// The place of the row in its table, counted from 0.
    pub fn idx(self) -> usize {
        self.0.get() as usize - 1
    }
}

// Derived, these would ask the same of `T`.
impl<T> Clone for Id<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Id<T> {}
impl<T> PartialEq for Id<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Id<T> {}
impl<T> PartialOrd for Id<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Id<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp(&other.0)
    }
}
impl<T> Hash for Id<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> fmt::Debug for Id<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.idx())
    }
}

/// Tables of a version.
pub(super) const N_TABLES: usize = 13;

/// A row of one of the thirteen tables.
pub trait Row: Send + Sync {
    /// The number of its table, counted from 0.
    const NUMBER: usize;
    /// The name of its table: that of its file.
    const NAME: &'static str;

    /// Its name.
    fn token(&self) -> &Token;
}

/// Rows in the order of their file.
///
/// Indexing by an [`Id`] of another table panics where that number is not there.
#[derive(Clone, Debug, PartialEq)]
pub struct Table<T> {
    rows: Vec<T>,
    /// Places of rows, by token.
    by_token: Vec<u32>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), by_token: Vec::new() }
    }
}

impl<T: Row> Table<T> {
    /// A table of these rows.
    ///
    /// **Errors**: the least token that two rows have.
    pub(super) fn new(rows: Vec<T>) -> Result<Self, Token> {
        let mut by_token: Vec<u32> = (0..rows.len() as u32).collect();
        by_token.par_sort_unstable_by(|a, b| rows[*a as usize].token().cmp(rows[*b as usize].token()));
        let token = |place: u32| rows[place as usize].token();
        if let Some(pair) = by_token.windows(2).find(|pair| token(pair[0]) == token(pair[1])) {
            return Err(token(pair[0]).clone());
        }
        Ok(Self { rows, by_token })
    }

    /// The same, where the order by token is known already.
    ///
    /// None where it is not that order.
    pub(super) fn with_order(rows: Vec<T>, by_token: Vec<u32>) -> Option<Self> {
        let token = |place: u32| rows.get(place as usize).map(T::token);
        let is_order = by_token.len() == rows.len()
            && by_token.first().is_none_or(|first| token(*first).is_some())
            && by_token.par_windows(2).all(|pair| match (token(pair[0]), token(pair[1])) {
                // As many places as rows, and no two the same: all of them.
                (Some(one), Some(other)) => one < other,
                _ => false,
            });
        is_order.then_some(Self { rows, by_token })
    }

    /// Places of rows by token.
    pub(super) fn by_token(&self) -> &[u32] {
        &self.by_token
    }

    /// The row of this token.
    pub fn find(&self, token: &Token) -> Option<Id<T>> {
        let found = self.by_token.binary_search_by(|place| self.rows[*place as usize].token().cmp(token));
        Id::new(self.by_token[found.ok()?] as usize)
    }
}

impl<T> Table<T> {
    /// How many rows there are.
    pub fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// The rows in the order of their file.
    pub fn rows(&self) -> &[T] {
        &self.rows
    }

    /// Rows with their numbers, in the order of their file.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Id<T>, &T)> + Clone {
        self.rows.iter().enumerate().filter_map(|(idx, row)| Some((Id::new(idx)?, row)))
    }
}

impl<T> Index<Id<T>> for Table<T> {
    type Output = T;

    fn index(&self, id: Id<T>) -> &T {
        &self.rows[id.idx()]
    }
}

/// Rows of `V` that belong to a row of `K`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Groups<K, V> {
    /// Where each group begins, and where the last one ends.
    starts: Vec<u32>,
    members: Vec<Id<V>>,
    of: PhantomData<fn() -> K>,
}

impl<K, V> Default for Groups<K, V> {
    fn default() -> Self {
        Self { starts: vec![0], members: Vec::new(), of: PhantomData }
    }
}

impl<K, V> Groups<K, V> {
    /// Groups of `n_groups` owners; members keep the order in which they come.
    pub(super) fn new(n_groups: usize, members: impl Iterator<Item = (Id<K>, Id<V>)> + Clone) -> Self {
        let mut starts = vec![0_u32; n_groups + 1];
        for (owner, _) in members.clone() {
            starts[owner.idx() + 1] += 1;
        }
        for idx in 1..starts.len() {
            starts[idx] += starts[idx - 1];
        }
        let mut next = starts.clone();
        let n_members = starts.last().map_or(0, |n| *n as usize);
        let mut placed: Vec<Option<Id<V>>> = vec![None; n_members];
        for (owner, member) in members {
            placed[next[owner.idx()] as usize] = Some(member);
            next[owner.idx()] += 1;
        }
        Self { starts, members: placed.into_iter().flatten().collect(), of: PhantomData }
    }

    /// Groups from their parts; none where they do not fit each other.
    pub(super) fn from_parts(starts: Vec<u32>, members: Vec<Id<V>>) -> Option<Self> {
        let is_whole =
            starts.first() == Some(&0) && starts.last().map(|n| *n as usize) == Some(members.len());
        let fits = is_whole && starts.windows(2).all(|pair| pair[0] <= pair[1]);
        fits.then_some(Self { starts, members, of: PhantomData })
    }

    /// Where groups begin and end, and all members.
    pub(super) fn parts(&self) -> (&[u32], &[Id<V>]) {
        (&self.starts, &self.members)
    }

    /// The group of this owner.
    pub(super) fn of(&self, owner: Id<K>) -> &[Id<V>] {
        &self.members[self.starts[owner.idx()] as usize..self.starts[owner.idx() + 1] as usize]
    }

    /// Every group, to be put in another order.
    pub(super) fn sort_each_by_key<O: Ord>(&mut self, key: impl Fn(Id<V>) -> O) {
        for range in self.starts.windows(2) {
            self.members[range[0] as usize..range[1] as usize].sort_by_key(|member| key(*member));
        }
    }
}
