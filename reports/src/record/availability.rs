//! Copies of each piece over time, kept small enough to draw: `availability.csv`.

/// The most piece bins that are kept.
const MAX_BINS: usize = 512;
/// The most moments that are kept.
const MAX_MOMENTS: usize = 400;

/// Copies by piece and time. A bin of several pieces shows its rarest, so that a missing piece stays visible.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AvailabilityMap {
    /// The first piece of each bin.
    pub first_pieces: Vec<u32>,
    /// When each row of `copies` was sampled, in microseconds.
    pub times_us: Vec<u64>,
    /// For each moment, the copies of the rarest piece of each bin.
    pub copies: Vec<Vec<u32>>,
}

impl AvailabilityMap {
    /// A line for each moment: its time, then the copies by bin; the header gives each bin's first piece.
    pub(super) fn to_csv(&self) -> String {
        let mut text = format!("t_s{}\n", cells(&self.first_pieces));
        for (&time_us, copies) in self.times_us.iter().zip(&self.copies) {
            let (secs, micros) = (time_us / 1_000_000, time_us % 1_000_000);
            text.push_str(&format!("{secs}.{micros:06}{}\n", cells(copies)));
        }
        text
    }

    /// Reads what [`AvailabilityMap::to_csv`] wrote; the error is a line, counted from 1, and what is wrong.
    pub(super) fn from_csv(text: &str) -> Result<Self, (u64, String)> {
        let mut lines = (1..).zip(text.lines());
        let (_, header) = lines.next().ok_or((1, "the file is empty".to_owned()))?;
        let first_pieces = match header.split_once(',') {
            Some(("t_s", bins)) => numbers(bins).map_err(|why| (1, why))?,
            _ if header == "t_s" => Vec::new(),
            _ => return Err((1, "the first column is not t_s".to_owned())),
        };
        let mut map = Self { first_pieces, ..Self::default() };
        for (line, row) in lines {
            map.read_row(row).map_err(|why| (line, why))?;
        }
        Ok(map)
    }

    fn read_row(&mut self, row: &str) -> Result<(), String> {
        let (time, rest) = row.split_once(',').unwrap_or((row, ""));
        let time_s: f64 = time.parse().map_err(|_| format!("{time:?} is not a time in seconds"))?;
        // A year of microseconds and more is still exact in an f64; this bound keeps out infinities.
        if !(0.0..1e10).contains(&time_s) {
            return Err(format!("{time:?} is not a time in seconds"));
        }
        let copies = if rest.is_empty() { Vec::new() } else { numbers(rest)? };
        if copies.len() != self.first_pieces.len() {
            return Err(format!("{} bins, and the header has {}", copies.len(), self.first_pieces.len()));
        }
        self.times_us.push((time_s * 1e6).round() as u64);
        self.copies.push(copies);
        Ok(())
    }
}

fn cells(numbers: &[u32]) -> String {
    numbers.iter().map(|number| format!(",{number}")).collect()
}

fn numbers(cells: &str) -> Result<Vec<u32>, String> {
    cells.split(',').map(|cell| cell.parse().map_err(|_| format!("{cell:?} is not a whole number"))).collect()
}

/// Collects an [`AvailabilityMap`] in bounded memory: when it is full, every second moment is dropped and from
/// then on every second sample ignored. Samples are to be taken at equal steps of time.
#[derive(Clone, Debug)]
pub struct AvailabilitySampler {
    pieces_per_bin: usize,
    stride: usize,
    skipped: usize,
    map: AvailabilityMap,
}

impl AvailabilitySampler {
    /// A sampler for content of `pieces` pieces.
    pub fn new(pieces: u32) -> Self {
        let pieces_per_bin = (pieces as usize).div_ceil(MAX_BINS).max(1);
        let first_pieces = (0..pieces).step_by(pieces_per_bin).collect();
        let map = AvailabilityMap { first_pieces, ..AvailabilityMap::default() };
        Self { pieces_per_bin, stride: 1, skipped: 0, map }
    }

    /// Takes the copies of each piece at `t_s` seconds.
    ///
    /// # Panics
    /// If `copies` is not of as many pieces as the sampler was made for.
    pub fn sample(&mut self, t_s: f64, copies: &[u32]) {
        if self.skipped > 0 {
            self.skipped -= 1;
            return;
        }
        if self.map.times_us.len() == MAX_MOMENTS {
            self.halve();
        }
        let bins = copies.chunks(self.pieces_per_bin);
        assert_eq!(bins.len(), self.map.first_pieces.len(), "a sample of another content");
        self.map.times_us.push((t_s * 1e6).round() as u64);
        self.map.copies.push(bins.map(|bin| bin.iter().copied().min().unwrap_or(0)).collect());
        self.skipped = self.stride - 1;
    }

    /// The map so far.
    pub fn finish(self) -> AvailabilityMap {
        self.map
    }

    fn halve(&mut self) {
        self.map.copies = self.map.copies.drain(..).step_by(2).collect();
        self.map.times_us = self.map.times_us.drain(..).step_by(2).collect();
        self.stride *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bin_shows_its_rarest_piece() {
        let mut sampler = AvailabilitySampler::new(1025);
        let mut copies = vec![7; 1025];
        copies[4] = 1;
        sampler.sample(2.5, &copies);
        let map = sampler.finish();
        assert_eq!(map.first_pieces.len(), 342, "three pieces a bin");
        assert_eq!(map.first_pieces[..3], [0, 3, 6]);
        assert_eq!(map.copies[0][..3], [7, 1, 7]);
        assert_eq!(map.times_us, [2_500_000]);
    }

    #[test]
    fn stays_bounded_and_evenly_spaced() {
        let mut sampler = AvailabilitySampler::new(1);
        for t in 0..10_000 {
            sampler.sample(f64::from(t), &[t]);
        }
        let map = sampler.finish();
        assert!(map.times_us.len() <= MAX_MOMENTS && map.times_us.len() >= MAX_MOMENTS / 2);
        let step = map.times_us[1] - map.times_us[0];
        assert!(map.times_us.windows(2).all(|pair| pair[1] - pair[0] == step), "{:?}", map.times_us);
        assert!(map.times_us.iter().zip(&map.copies).all(|(&t, row)| t == u64::from(row[0]) * 1_000_000));
    }
}
