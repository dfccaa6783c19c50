//! The suite for health probes.

use std::time::Duration;

use super::bench::{Checked, PATIENCE, ShouldWork, Suite, describe, ends, ensure};
use super::report::Report;
use super::timer::{BoxFuture, Timer, dropped_after, together};
use crate::roles::{HealthProbe, Verdict};

const VERDICT: &str = "Looks once, on a fresh connection.";
const SILENT: &str = "No answer in time is `Unhealthy`.";
const CANCEL: &str = "Cancel-safe.";
const SEEN: &str = "It does not; the text says what was seen.";

/// Holds a probe against the contract of [`HealthProbe`].
///
/// `healthy` looks at something that works, `unhealthy` at something that does not (refuses, answers wrongly), and `hanging` at
/// something that accepts and never answers; `None` when the technology knows no such state, which skips its checks. They must
/// stay so while the suite runs. Cancelling is harmless.
pub async fn health_probe(
    healthy: &dyn HealthProbe,
    unhealthy: &dyn HealthProbe,
    hanging: Option<&dyn HealthProbe>,
    timer: &dyn Timer,
) -> Report {
    let mut suite = Suite::new("HealthProbe", timer);
    suite.check("its_name_is_short_and_stays", Box::pin(its_name_stays(healthy))).await;
    suite.check("what_works_is_healthy", Box::pin(what_works_is_healthy(healthy))).await;
    suite.check("what_does_not_work_is_unhealthy", Box::pin(what_does_not_work(unhealthy))).await;
    match hanging {
        Some(hanging) => suite.check("no_answer_in_time_is_unhealthy", Box::pin(no_answer(hanging, timer))).await,
        None => suite.skip("no_answer_in_time_is_unhealthy", "no probe of something that hangs was handed in"),
    }
    suite.check("a_timeout_of_zero_ends_the_call", Box::pin(no_time_at_all(healthy, timer))).await;
    suite.check("a_dropped_check_leaves_it_usable", Box::pin(dropped_checks(healthy))).await;
    suite.check("checks_run_beside_each_other", Box::pin(side_by_side(healthy, unhealthy))).await;
    suite.finish()
}

async fn its_name_stays(probe: &dyn HealthProbe) -> Checked {
    let name = probe.name().to_owned();
    probe.check(PATIENCE).await.should_work("a check")?;
    let fine = !name.is_empty() && name.len() <= 64 && probe.name() == name;
    ensure(fine, "A short name, for status and logs.", "1 to 64 bytes, the same after a check", (name, probe.name()))
}

async fn what_works_is_healthy(probe: &dyn HealthProbe) -> Checked {
    for _ in 0..3 {
        let seen = probe.check(PATIENCE).await;
        ensure(matches!(seen, Ok(Verdict::Healthy)), VERDICT, "Healthy", describe(&seen))?;
    }
    Ok(())
}

async fn what_does_not_work(probe: &dyn HealthProbe) -> Checked {
    for _ in 0..3 {
        let seen = probe.check(PATIENCE).await;
        let said = matches!(&seen, Ok(Verdict::Unhealthy(text)) if !text.trim().is_empty());
        ensure(said, SEEN, "Unhealthy with a text", describe(&seen))?;
    }
    Ok(())
}

async fn no_answer(probe: &dyn HealthProbe, timer: &dyn Timer) -> Checked {
    for limit in [Duration::from_millis(50), Duration::from_millis(400)] {
        let seen = ends(timer, "a check of what hangs", limit, probe.check(limit)).await?;
        let said = matches!(&seen, Ok(Verdict::Unhealthy(text)) if !text.trim().is_empty());
        ensure(said, SILENT, "Unhealthy with a text", describe(&seen))?;
    }
    Ok(())
}

async fn no_time_at_all(probe: &dyn HealthProbe, timer: &dyn Timer) -> Checked {
    let none = Duration::ZERO;
    let seen = ends(timer, "a check", none, probe.check(none)).await?;
    ensure(seen.is_ok(), SILENT, "a verdict", describe(&seen))?;
    what_works_is_healthy(probe).await
}

async fn dropped_checks(probe: &dyn HealthProbe) -> Checked {
    for polls in 1..6 {
        dropped_after(polls, probe.check(PATIENCE)).await;
        let seen = probe.check(PATIENCE).await;
        ensure(matches!(seen, Ok(Verdict::Healthy)), CANCEL, "Healthy after a dropped check", describe(&seen))?;
    }
    Ok(())
}

async fn side_by_side(healthy: &dyn HealthProbe, unhealthy: &dyn HealthProbe) -> Checked {
    let checks: Vec<BoxFuture<'_, _>> = (0..8)
        .map(|number| if number % 2 == 0 { healthy.check(PATIENCE) } else { unhealthy.check(PATIENCE) })
        .collect();
    for (number, seen) in together(checks).await.into_iter().enumerate() {
        let right = matches!((number % 2, &seen), (0, Ok(Verdict::Healthy)) | (1, Ok(Verdict::Unhealthy(_))));
        ensure(right, "Methods may be called concurrently.", "the verdict that a check alone gives", describe(&seen))?;
    }
    Ok(())
}
