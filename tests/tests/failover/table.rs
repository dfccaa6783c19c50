//! What the quickstart prints at its end.

/// One fault and what it cost.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) fault: String,
    pub(crate) gap: String,
    pub(crate) acknowledged: u64,
    pub(crate) lost: u64,
    pub(crate) two_writers: String,
    pub(crate) rejoin: String,
}

/// The rows of the table, in order.
pub(crate) fn rows(said: &str) -> Vec<Row> {
    let mut lines = said.lines().skip_while(|line| !line.trim_start().starts_with("fault "));
    let head = lines.next().unwrap_or_else(|| panic!("there is no table in:\n{said}"));
    assert_eq!(cells(head), ["fault", "longest gap", "acknowledged", "lost", "two writers", "rejoin"]);
    lines.take_while(|line| !line.trim().is_empty()).map(row).collect()
}

/// What the demo says was missed, a line each.
pub(crate) fn missed(said: &str) -> Vec<&str> {
    said.lines().map(str::trim).filter(|line| line.starts_with("MISSED ")).collect()
}

fn row(line: &str) -> Row {
    let cells = cells(line);
    let [fault, gap, acknowledged, lost, two_writers, rejoin, verdict] = cells.as_slice() else {
        panic!("{line:?} has other columns");
    };
    assert!(matches!(*verdict, "ok" | "MISSED"), "{line:?}");
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text:?} in {line:?} is no number"));
    let text = |text: &str| text.split(" (").next().unwrap_or_default().to_owned();
    Row {
        fault: text(fault),
        gap: text(gap),
        acknowledged: number(acknowledged),
        lost: number(lost),
        two_writers: text(two_writers),
        rejoin: text(rejoin),
    }
}

/// Columns stand at least two blanks apart; within one there is never more than one.
fn cells(line: &str) -> Vec<&str> {
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()
}

#[test]
fn a_table_is_read() {
    let said = "\
  fault                       longest gap   acknowledged   lost   two writers              rejoin
  database killed      0.39 s (< 1.00 s)           1413      0         never   0.62 s (< 5.00 s)   ok
  agent frozen         7.10 s (< 6.00 s)             90      2         51 ms               never   MISSED

  MISSED  agent frozen: two writers for 51 ms
";
    let seen = rows(said);
    assert_eq!(seen.len(), 2);
    assert_eq!(
        (seen[0].fault.as_str(), seen[0].gap.as_str(), seen[0].acknowledged),
        ("database killed", "0.39 s", 1413)
    );
    assert_eq!((seen[1].lost, seen[1].two_writers.as_str(), seen[1].rejoin.as_str()), (2, "51 ms", "never"));
    assert_eq!(missed(said), ["MISSED  agent frozen: two writers for 51 ms"]);
}
