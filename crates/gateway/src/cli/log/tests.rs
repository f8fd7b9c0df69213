use std::io::Read;

use super::*;

#[test]
fn f64_a_reader_that_stops_costs_lines_and_nobody_waits_for_it() {
    static LOST: Counter = Counter::new();
    let (mut reader, sink) = io::pipe().unwrap();
    let mut log = Lossy { sink, lost: &LOST };
    let line = [[b'x'; 99].as_slice(), b"\n"].concat();
    let mut written = 0;
    while LOST.get() == 0 {
        log.write_all(&line).unwrap();
        written += 1;
    }
    let mut kept = vec![0; (written - 1) * line.len()];
    reader.read_exact(&mut kept).unwrap();
    assert_eq!(kept, line.repeat(written - 1), "whole lines, up to the one that was lost");

    log.write_all(b"control\n").unwrap();
    let mut control = [0; 8];
    reader.read_exact(&mut control).unwrap();
    assert_eq!((&control, LOST.get()), (b"control\n", 1), "with room again, a line arrives");

    drop(reader);
    log.write_all(&line).unwrap();
    assert_eq!(LOST.get(), 2, "nobody reads at all");
}
