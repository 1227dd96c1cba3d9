//! One-to-one matching of the largest total weight.

/// A matrix of weights, 0 for pairs that cannot match.
///
/// **Shapes**: `[n_rows, n_columns]`, row by row.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    pub(super) n_rows: usize,
    pub(super) n_columns: usize,
    pub(super) values: Vec<i64>,
}

impl Weights {
    fn at(&self, row: usize, column: usize) -> i64 {
        self.values[row * self.n_columns + column]
    }
}

/// The column of each of the first `n_rows` rows in a matching of the largest total weight.
///
/// Rows are assigned one after the other along cheapest augmenting paths (Kuhn and Munkres, in the form with
/// potentials), with one column of weight 0 a row beside the real ones, so that any row may stay alone.
///
/// **Determinism**: of equally cheap steps the one to the lowest column is taken.
pub(super) fn match_rows(weights: &Weights, n_rows: usize) -> Vec<Option<usize>> {
    debug_assert!(n_rows <= weights.n_rows);
    if weights.n_columns == 1 {
        return match_one_column(weights, n_rows);
    }
    let n_columns = weights.n_columns + n_rows;
    // Index 0 stands for "none"; rows and columns count from 1.
    let (mut row_potential, mut column_potential) = (vec![0_i64; n_rows + 1], vec![0_i64; n_columns + 1]);
    let (mut row_of, mut came_from) = (vec![0_usize; n_columns + 1], vec![0_usize; n_columns + 1]);
    let cost = |row: usize, column: usize| {
        if column <= weights.n_columns { -weights.at(row - 1, column - 1) } else { 0 }
    };
    let (mut least, mut visited) = (vec![i64::MAX; n_columns + 1], vec![false; n_columns + 1]);
    for row in 1..=n_rows {
        least.fill(i64::MAX);
        visited.fill(false);
        row_of[0] = row;
        let mut column = 0;
        loop {
            visited[column] = true;
            let from_row = row_of[column];
            let (mut step, mut next) = (i64::MAX, 0);
            for c in (1..=n_columns).filter(|c| !visited[*c]) {
                let reduced = cost(from_row, c) - row_potential[from_row] - column_potential[c];
                if reduced < least[c] {
                    (least[c], came_from[c]) = (reduced, column);
                }
                if least[c] < step {
                    (step, next) = (least[c], c);
                }
            }
            for c in 0..=n_columns {
                if visited[c] {
                    row_potential[row_of[c]] += step;
                    column_potential[c] -= step;
                } else if c > 0 {
                    least[c] -= step;
                }
            }
            column = next;
            if row_of[column] == 0 {
                break;
            }
        }
        while column != 0 {
            row_of[column] = row_of[came_from[column]];
            column = came_from[column];
        }
    }
    let mut matched = vec![None; n_rows];
    for (column, row) in row_of[1..=weights.n_columns].iter().enumerate() {
        if *row > 0 && weights.at(row - 1, column) > 0 {
            matched[row - 1] = Some(column);
        }
    }
    matched
}

fn match_one_column(weights: &Weights, n_rows: usize) -> Vec<Option<usize>> {
    let mut matched = vec![None; n_rows];
    let mut best: Option<(i64, usize)> = None;
    for row in 0..n_rows {
        let weight = weights.at(row, 0);
        if weight > best.map_or(0, |(most, _)| most) {
            best = Some((weight, row));
        }
    }
    if let Some((_, row)) = best {
        matched[row] = Some(0);
    }
    matched
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn total(weights: &Weights, matched: &[Option<usize>]) -> i64 {
        matched.iter().enumerate().filter_map(|(r, c)| c.map(|c| weights.at(r, c))).sum()
    }

    fn best_by_trial(weights: &Weights, row: usize, free: &mut [bool]) -> i64 {
        if row == weights.n_rows {
            return 0;
        }
        let mut best = best_by_trial(weights, row + 1, free);
        for column in 0..weights.n_columns {
            if free[column] {
                free[column] = false;
                best = best.max(weights.at(row, column) + best_by_trial(weights, row + 1, free));
                free[column] = true;
            }
        }
        best
    }

    #[test]
    fn the_largest_sum_wins_over_the_largest_pair() {
        // Taking 0.9 first leaves the other prediction alone.
        let weights = Weights { n_rows: 2, n_columns: 2, values: vec![900, 800, 800, 0] };
        assert_eq!(match_rows(&weights, 2), [Some(1), Some(0)]);
        assert_eq!(match_rows(&weights, 1), [Some(0)]);
    }

    #[test]
    fn of_equal_rows_the_first_is_matched() {
        for n_columns in [1, 2] {
            let weights = Weights { n_rows: 3, n_columns, values: vec![5; 3 * n_columns] };
            let matched = match_rows(&weights, 3);
            assert_eq!(matched.iter().take_while(|m| m.is_some()).count(), n_columns, "{matched:?}");
        }
    }

    proptest! {
        #[test]
        fn a_matching_is_one_to_one_and_no_other_is_heavier(
            n_rows in 1_usize..6,
            n_columns in 1_usize..5,
            drawn in prop::collection::vec(prop_oneof![Just(0_i64), 1_i64..4, 500_000_i64..1_000_000], 30),
        ) {
            let weights = Weights { n_rows, n_columns, values: drawn[..n_rows * n_columns].to_vec() };
            let matched = match_rows(&weights, n_rows);
            let mut used: Vec<usize> = matched.iter().flatten().copied().collect();
            used.sort_unstable();
            prop_assert!(used.windows(2).all(|w| w[0] < w[1]), "{matched:?}");
            let best = best_by_trial(&weights, 0, &mut vec![true; n_columns]);
            prop_assert_eq!(total(&weights, &matched), best);
        }
    }
}
