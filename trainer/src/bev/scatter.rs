//! Scatter: pillar vectors to their cells of a canvas.

use burn::tensor::{IndexingUpdateOp, Int, Tensor};

/// The canvas `[B, C, ny, nx]` that holds the vector of a pillar in its cell, and zero elsewhere.
///
/// **Shapes**: `pillars [P, C]`, `cells [P, 1]` as `sample * ny * nx + iy * nx + ix`.
/// **Determinism**: cells must be unique; devices add without atomics.
pub fn scatter(
    pillars: Tensor<2>,
    cells: Tensor<2, Int>,
    batch_size: usize,
    [ny, nx]: [usize; 2],
) -> Tensor<4> {
    let [n, c] = pillars.dims();
    let canvas = Tensor::<2>::zeros([batch_size * ny * nx, c], &pillars.device());
    let canvas = if n == 0 { canvas } else { canvas.scatter_nd(cells, pillars, IndexingUpdateOp::Add) };
    canvas.reshape([batch_size, ny, nx, c]).permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    #[test]
    fn pillars_land_in_their_cells_and_gradients_come_back() {
        let device = Device::flex().autodiff();
        let [batch, ny, nx] = [2, 3, 4];
        let pillars = Tensor::<2>::from_data([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]], &device).require_grad();
        // Sample 0 (row 1, column 2), sample 1 (row 0, column 0), sample 0 (row 2, column 3).
        let places = [6_usize, 12, 11];
        let cells =
            Tensor::<2, Int>::from_data(TensorData::new(places.map(|p| p as i32).to_vec(), [3, 1]), &device);
        let canvas = scatter(pillars.clone(), cells, batch, [ny, nx]);
        assert_eq!(canvas.dims(), [batch, 2, ny, nx]);
        let factors: Vec<f32> = (0..batch * 2 * ny * nx).map(|i| i as f32).collect();
        let values: Vec<f32> = canvas.clone().into_data().iter::<f32>().collect();
        let mut expected = vec![0.0; values.len()];
        let at = |place: usize, c: usize| {
            let (sample, cell) = (place / (ny * nx), place % (ny * nx));
            (sample * 2 + c) * ny * nx + cell
        };
        for (i, place) in places.iter().enumerate() {
            expected[at(*place, 0)] = (i + 1) as f32;
            expected[at(*place, 1)] = 10.0 * (i + 1) as f32;
        }
        assert_eq!(values, expected);
        let weight = Tensor::<4>::from_data(TensorData::new(factors, [batch, 2, ny, nx]), &device);
        let grads = (canvas * weight).sum().backward();
        let grad: Vec<f32> = pillars.grad(&grads).unwrap().into_data().iter::<f32>().collect();
        let expected: Vec<f32> = places.iter().flat_map(|p| [at(*p, 0) as f32, at(*p, 1) as f32]).collect();
        assert_eq!(grad, expected);
    }
}
