//! Passwords and registrations, both ways, and what becomes of those who guess.

mod bans;
mod here;
mod there;

use std::path::PathBuf;
use std::time::Duration;

use b2bua::profile::{Algorithm, Credentials, Password};
use sim::{Ladder, Sim};

/// A number on the telephone network.
const SUBSCRIBER: &str = "+12065550111";

/// A number of the application behind Microsoft's side.
const APPLICATION: &str = "+14255550123";

const PASSWORD: &str = "correct horse";

fn credentials(user: &str, password: &str) -> Credentials {
    Credentials {
        realm: Some("carrier.example".to_owned()),
        username: user.to_owned(),
        password: Password::new(password),
        weakest: Algorithm::Md5,
    }
}

/// Compares a ladder with the file; `UPDATE_EXPECT=1` rewrites it.
fn check(name: &str, ladder: &Ladder) {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/registration/ladders");
    let file = folder.join(format!("{name}.txt"));
    let drawn = ladder.to_string();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::create_dir_all(&folder).expect("the folder is ours");
        std::fs::write(&file, &drawn).expect("the file is ours");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(
        drawn,
        expected,
        "{} differs and is\n{drawn}",
        file.display()
    );
}

/// Registrations are for ever, so that nothing is ever quiet: some time instead.
fn run(sim: &mut Sim, seconds: u64) {
    sim.run_for(Duration::from_secs(seconds));
}
