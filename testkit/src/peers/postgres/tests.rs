use super::*;
use crate::peers::available;

#[tokio::test]
async fn a_server_gives_each_test_a_database_and_takes_everything_with_it() {
    let Some(server) = available(Postgres::start().await) else { return };
    let (one, other) = (server.database().unwrap(), server.database().unwrap());
    assert_ne!(one.url(), other.url());
    one.psql("CREATE TABLE seen (id bigint)").unwrap();
    assert_eq!(one.psql("SELECT count(*) FROM seen").unwrap(), "0");
    assert!(other.psql("SELECT count(*) FROM seen").is_err(), "the other one is another one");
    let stranger = one.url().replace(PASSWORD, "guessed");
    assert!(ask(Command::new(&one.psql).args(["-d", &stranger]), "SELECT 1").is_err(), "the password counts");
    let folder = server.folder.clone();
    drop(server);
    assert!(!folder.exists(), "nothing stays behind");
    assert!(one.psql("SELECT 1").is_err(), "nobody listens any more");
}
