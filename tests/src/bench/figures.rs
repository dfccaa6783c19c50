//! Figures and tables.

use std::time::Duration;

/// What was measured several times.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    sorted: Vec<Duration>,
}

impl Figures {
    pub(super) fn of(mut measured: Vec<Duration>) -> Self {
        measured.sort_unstable();
        Self { sorted: measured }
    }

    pub(super) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// The value that this share (0 to 1) of all values does not exceed (nearest rank); zero when there are none.
    pub(super) fn quantile(&self, share: f64) -> Duration {
        let rank = (share * self.sorted.len() as f64).ceil() as usize;
        self.sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
    }

    pub(super) fn min(&self) -> Duration {
        self.sorted.first().copied().unwrap_or_default()
    }

    pub(super) fn median(&self) -> Duration {
        self.quantile(0.5)
    }

    pub(super) fn max(&self) -> Duration {
        self.sorted.last().copied().unwrap_or_default()
    }
}

/// One value by another; `-` where there is none.
pub(super) fn ratio(ours: f64, other: f64) -> String {
    if other > 0.0 { format!("{:.2}", ours / other) } else { "-".into() }
}

/// Seconds, with milliseconds.
pub(super) fn seconds(time: Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}

/// Milliseconds, with hundredths.
pub(super) fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1000.0)
}

/// Prints rows as a Markdown table with aligned columns; the first is the heading.
pub(super) fn print_table(rows: &[Vec<String>]) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    for (number, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("| {} |", cells.join(" | "));
        if number == 0 {
            let lines: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            println!("| {} |", lines.join(" | "));
        }
    }
    println!();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let figures = Figures::of((1..=20).rev().map(Duration::from_millis).collect());
        let ms = |time: Duration| time.as_millis();
        assert_eq!((ms(figures.min()), ms(figures.median()), ms(figures.max())), (1, 10, 20));
        assert_eq!((ms(figures.quantile(0.95)), ms(figures.quantile(0.99))), (19, 20));
        assert_eq!(Figures::default().median(), Duration::ZERO);
    }
}
