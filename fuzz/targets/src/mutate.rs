//! Inputs made from a corpus, the same ones for the same seed: what a bounded run can do without measuring coverage.

/// The longest input that is made.
const INPUT_BYTES_MAX: usize = 16 * 1024;
/// How many changes are made to one input.
const CHANGES_MAX: usize = 6;
/// Bytes that mean something in one of the languages.
const TELLING: &[u8] = b"\0\n\r\t \"'\\{}[],:;=-+.0129eE&*!|<>#%/?@_aA\x7f\x80\xbf\xc0\xed\xef\xff";

/// Makes inputs.
#[derive(Clone, Debug)]
pub struct Mutator {
    state: u64,
}

impl Mutator {
    /// One whose inputs this seed decides.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The next input: one of the corpus with a few changes.
    pub fn input(&mut self, corpus: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
        let mut input = self.pick(corpus).cloned().unwrap_or_default();
        for _ in 0..=self.below(CHANGES_MAX) {
            self.change(&mut input, corpus, words);
        }
        input.truncate(INPUT_BYTES_MAX);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str]) {
        let at = self.below(input.len() + 1);
        let until = (at + 1 + self.below(8)).min(input.len());
        match self.below(9) {
            0 => {
                let bit = self.below(8);
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << bit;
                }
            }
            1 => {
                let telling = self.pick(TELLING).copied().unwrap_or_default();
                if let Some(byte) = input.get_mut(at) {
                    *byte = telling;
                }
            }
            2 => input.insert(at, self.pick(TELLING).copied().unwrap_or_default()),
            3 if at < until => drop(input.drain(at..until)),
            4 => self.repeat(input, at),
            5 => input.truncate(at),
            6 => {
                // The end of another one, or of itself.
                let other = self.pick(corpus).cloned().unwrap_or_default();
                let from = self.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(other.get(from..).unwrap_or_default());
            }
            _ => {
                let word = self.pick(words).map(|word| word.as_bytes().to_vec()).unwrap_or_default();
                input.splice(at..at, word);
            }
        }
    }

    /// A piece of the input again, once or very often: what nests or grows without bound begins here.
    fn repeat(&mut self, input: &mut Vec<u8>, at: usize) {
        let until = (at + 1 + self.below(24)).min(input.len());
        let piece = input.get(at..until).unwrap_or_default().to_vec();
        let times = if self.below(4) == 0 { self.below(200) } else { 1 };
        input.splice(at..at, piece.repeat(times));
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len().max(1)))
    }

    fn below(&mut self, bound: usize) -> usize {
        // SplitMix64; the remainder's bias is of no account here.
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % bound as u64).unwrap_or_default()
    }
}
