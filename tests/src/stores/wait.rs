//! Waiting for what becomes true.

use std::time::{Duration, Instant};

/// Between two looks.
const STEP: Duration = Duration::from_millis(20);

/// Looks again and again until there is something to see.
///
/// # Panics
///
/// When there is not within this time.
pub async fn eventually<T>(what: &str, limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(begun.elapsed() < limit, "within {limit:?}: {what}");
        tokio::time::sleep(STEP).await;
    }
}
