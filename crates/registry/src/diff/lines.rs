//! The lines in which two texts differ: the longest common subsequence, within bounds.

use super::{Line, Side};

/// How many common lines stand around a difference.
const CONTEXT_LINES: usize = 2;
/// Above this many cells of the table, what lies between the common ends is shown as replaced.
const CELLS_MAX: usize = 1_000_000;

/// The lines of two texts, common ones only near a difference.
pub(super) fn between(old: &str, new: &str) -> Vec<Line> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split('\n').collect(), new.split('\n').collect());
    let same = |(a, b): &(&&str, &&str)| a == b;
    let head = old.iter().zip(&new).take_while(same).count();
    let shorter = old.len().min(new.len()).saturating_sub(head);
    let tail = old.iter().rev().zip(new.iter().rev()).take_while(same).take(shorter).count();
    let middle = |lines: &[&'_ str]| {
        lines
            .iter()
            .skip(head)
            .take(lines.len().saturating_sub(head + tail))
            .map(|l| (*l).to_owned())
            .collect::<Vec<_>>()
    };
    let mut lines: Vec<Line> = old.iter().take(head).map(|text| line(Side::Both, text)).collect();
    lines.extend(merged(&middle(&old), &middle(&new)));
    lines.extend(old.iter().skip(old.len().saturating_sub(tail)).map(|text| line(Side::Both, text)));
    near_a_difference(lines)
}

fn line(side: Side, text: &str) -> Line {
    Line { side, text: text.to_owned() }
}

fn merged(old: &[String], new: &[String]) -> Vec<Line> {
    let columns = new.len().saturating_add(1);
    if old.len().saturating_add(1).saturating_mul(columns) > CELLS_MAX {
        let removed = old.iter().map(|text| line(Side::Old, text));
        return removed.chain(new.iter().map(|text| line(Side::New, text))).collect();
    }
    let common = common_lengths(old, new);
    let length = |i: usize, j: usize| common.get(i * columns + j).copied().unwrap_or_default();
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    loop {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                lines.push(line(Side::Both, a));
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), Some(_)) if length(i + 1, j) >= length(i, j + 1) => {
                lines.push(line(Side::Old, a));
                i += 1;
            }
            (Some(_), Some(b)) | (None, Some(b)) => {
                lines.push(line(Side::New, b));
                j += 1;
            }
            (Some(a), None) => {
                lines.push(line(Side::Old, a));
                i += 1;
            }
            (None, None) => return lines,
        }
    }
}

/// For every pair of places, the length of the longest common subsequence of what follows; row by row.
fn common_lengths(old: &[String], new: &[String]) -> Vec<u32> {
    let columns = new.len() + 1;
    let mut table = vec![0_u32; (old.len() + 1) * columns];
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            let at = |i: usize, j: usize| table.get(i * columns + j).copied().unwrap_or_default();
            let length = if a == b { at(i + 1, j + 1) + 1 } else { at(i + 1, j).max(at(i, j + 1)) };
            if let Some(cell) = table.get_mut(i * columns + j) {
                *cell = length;
            }
        }
    }
    table
}

fn near_a_difference(lines: Vec<Line>) -> Vec<Line> {
    let differs: Vec<usize> = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.side != Side::Both)
        .map(|(index, _)| index)
        .collect();
    let is_near = |index: usize| {
        let next = differs.partition_point(|at| *at < index);
        let after = differs.get(next).is_some_and(|at| at - index <= CONTEXT_LINES);
        let before = next.checked_sub(1).and_then(|at| differs.get(at));
        after || before.is_some_and(|at| index - at <= CONTEXT_LINES)
    };
    lines.into_iter().enumerate().filter(|(index, _)| is_near(*index)).map(|(_, line)| line).collect()
}
