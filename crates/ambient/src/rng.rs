use std::fmt;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The generator of tokens: tags, branches, Call-IDs, jitter. The same seed gives the same tokens.
///
/// It is seeded by the operating system in the daemon, so its tokens cannot be guessed from
/// outside (RFC 3261 §19.3), and by a number in tests, so a run can be repeated. Never make a key
/// of it: that is what [`KeyRng`] is for.
#[derive(Clone)]
pub struct TokenRng(ChaCha20Rng);

/// The magic cookie that starts every branch parameter, RFC 3261 §8.1.1.7.
const BRANCH_COOKIE: &str = "z9hG4bK";

impl TokenRng {
    /// The generator of the sequence that belongs to `seed`.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ChaCha20Rng::from_seed(seed))
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number in `0..n`, each as likely as the other; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        if n == 0 {
            return 0;
        }
        // Numbers of the last, incomplete run of n would favour the small ones.
        let limit = u64::MAX - u64::MAX % n;
        loop {
            let draw = self.0.next_u64();
            if draw < limit {
                return draw % n;
            }
        }
    }

    /// A From or To tag with 80 random bits (RFC 3261 §19.3 asks for 32), 16 characters.
    pub fn tag(&mut self) -> String {
        self.token(16)
    }

    /// A Via branch: the magic cookie and 100 random bits, 27 characters.
    pub fn branch(&mut self) -> String {
        [BRANCH_COOKIE, &self.token(20)].concat()
    }

    /// A Call-ID of 160 random bits without a host part, 32 characters (RFC 3261 §8.1.1.4).
    pub fn call_id(&mut self) -> String {
        self.token(32)
    }

    /// A generator of its own, seeded by this one: its draws do not change this one's sequence.
    pub fn fork(&mut self) -> Self {
        let mut seed = [0; 32];
        self.0.fill_bytes(&mut seed);
        Self::from_seed(seed)
    }

    /// `length` characters of five random bits each. Lower case only: tokens are compared without
    /// regard to case (RFC 3261 §7.3.1), so a second case would add no distinct values.
    fn token(&mut self, length: usize) -> String {
        const ALPHABET: &[u8; 32] = b"0123456789abcdefghijkmnpqrstuvwx";
        let mut token = String::with_capacity(length);
        let mut bits = 0;
        for position in 0..length {
            if position % 12 == 0 {
                bits = self.0.next_u64();
            }
            token.push(char::from(ALPHABET[(bits & 31) as usize]));
            bits >>= 5;
        }
        token
    }
}

impl fmt::Debug for TokenRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenRng(..)")
    }
}

/// The generator of keys: SRTP master keys and salts. Seeded by operating system entropy only.
///
/// Each [`fill`](Self::fill) replaces the internal key by output that is never handed out, so what
/// was filled before cannot be computed from a later state. It is neither `Clone` nor printable
/// and is wiped when dropped.
#[derive(ZeroizeOnDrop)]
pub struct KeyRng([u8; 32]);

impl KeyRng {
    /// A generator of keys from 32 bytes of operating system entropy.
    pub fn from_entropy(mut entropy: [u8; 32]) -> Self {
        let rng = Self(entropy);
        entropy.zeroize();
        rng
    }

    /// Fills `out` with key material.
    pub fn fill(&mut self, out: &mut [u8]) {
        let mut stream = ChaCha20Rng::from_seed(self.0);
        stream.fill_bytes(&mut self.0);
        stream.fill_bytes(out);
        // The stream cannot wipe itself; overwriting it with a known one is the same.
        stream = ChaCha20Rng::from_seed([0; 32]);
        std::hint::black_box(&stream);
    }
}

impl fmt::Debug for KeyRng {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyRng(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_tokens() {
        let mut one = TokenRng::from_seed([7; 32]);
        let mut two = TokenRng::from_seed([7; 32]);
        assert_eq!(one.branch(), two.branch());
        assert_eq!(one.tag(), two.tag());
        assert_eq!(one.call_id(), two.call_id());
        assert_ne!(one.tag(), one.tag());
        assert_ne!(
            TokenRng::from_seed([8; 32]).tag(),
            TokenRng::from_seed([7; 32]).tag()
        );
    }

    #[test]
    fn tokens_have_their_form() {
        let mut rng = TokenRng::from_seed([1; 32]);
        let branch = rng.branch();
        assert!(
            branch.starts_with("z9hG4bK") && branch.len() == 27,
            "{branch}"
        );
        assert_eq!(rng.tag().len(), 16);
        let call_id = rng.call_id();
        assert_eq!(call_id.len(), 32);
        assert!(
            call_id
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        );
    }

    #[test]
    fn a_fork_draws_without_touching_its_parent() {
        let mut one = TokenRng::from_seed([3; 32]);
        let mut two = TokenRng::from_seed([3; 32]);
        let mut child = one.fork();
        two.fork();
        for _ in 0..100 {
            child.next_u64();
        }
        assert_eq!(one.next_u64(), two.next_u64());
    }

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        let mut rng = TokenRng::from_seed([5; 32]);
        let mut seen = [0u32; 7];
        for _ in 0..7_000 {
            seen[usize::try_from(rng.below(7)).unwrap()] += 1;
        }
        assert!(
            seen.iter().all(|&count| (800..1_200).contains(&count)),
            "{seen:?}"
        );
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
    }

    #[test]
    fn keys_differ_and_do_not_show() {
        let mut rng = KeyRng::from_entropy([0xAB; 32]);
        let (mut one, mut two) = ([0; 30], [0; 30]);
        rng.fill(&mut one);
        rng.fill(&mut two);
        assert_ne!(one, two);
        assert_ne!(one, [0; 30]);
        assert_eq!(format!("{rng:?}"), "KeyRng(redacted)");
    }
}
