//! What has its effect once: interactions and jobs.

use guildhall_domain::InteractionId;
use guildhall_store::jobs::{self, Begin};
use guildhall_store::subscriptions::{self, Plan};
use guildhall_store::{Connection as _, interactions};

use crate::support::{NOW, database, guild};

fn id(id: u64) -> InteractionId {
    InteractionId::new(id).expect("an id")
}

#[tokio::test]
async fn an_interaction_is_claimed_once() {
    let database = database().await;
    let mut db = database.pool().acquire().await.expect("a connection");
    assert!(interactions::claim(&mut db, id(1), NOW).await.expect("claimed"));
    assert!(!interactions::claim(&mut db, id(1), NOW).await.expect("asked"));
    assert!(interactions::claim(&mut db, id(2), NOW).await.expect("claimed"));
}

#[tokio::test]
async fn a_claim_whose_transaction_fails_never_was() {
    let database = database().await;
    let mut db = database.pool().acquire().await.expect("a connection");
    let mut tx = db.begin().await.expect("begun");
    assert!(interactions::claim(&mut tx, id(1), NOW).await.expect("claimed"));
    tx.rollback().await.expect("rolled back");
    assert!(interactions::claim(&mut db, id(1), NOW).await.expect("claimed"));
}

#[tokio::test]
async fn of_concurrent_claims_one_wins() {
    let database = database().await;
    let claim = async || {
        let mut db = database.pool().acquire().await.expect("a connection");
        interactions::claim(&mut db, id(1), NOW).await.expect("answered")
    };
    let won = tokio::join!(claim(), claim(), claim(), claim());
    assert_eq!([won.0, won.1, won.2, won.3].into_iter().filter(|won| *won).count(), 1);
}

#[tokio::test]
async fn a_job_runs_once_and_again_only_after_its_lease() {
    let database = database().await;
    let mut db = database.pool().acquire().await.expect("a connection");
    let lease = 30_000;
    assert_eq!(jobs::begin(&mut db, id(1), NOW, lease).await.expect("begun"), Begin::Run { attempt: 1 });
    let before = NOW.plus_millis(lease - 1);
    assert_eq!(jobs::begin(&mut db, id(1), before, lease).await.expect("answered"), Begin::Busy);
    let after = NOW.plus_millis(lease);
    assert_eq!(jobs::begin(&mut db, id(1), after, lease).await.expect("begun"), Begin::Run { attempt: 2 });
    assert_eq!(jobs::begin(&mut db, id(1), after, lease).await.expect("answered"), Begin::Busy);
    jobs::finish(&mut db, id(1), after).await.expect("finished");
    let later = after.plus_millis(10 * lease);
    assert_eq!(jobs::begin(&mut db, id(1), later, lease).await.expect("answered"), Begin::Done);
}

#[tokio::test]
async fn a_job_given_back_runs_at_once_but_not_against_a_later_attempt() {
    let database = database().await;
    let mut db = database.pool().acquire().await.expect("a connection");
    let lease = 30_000;
    assert_eq!(jobs::begin(&mut db, id(1), NOW, lease).await.expect("begun"), Begin::Run { attempt: 1 });
    jobs::release(&mut db, id(1), 1, NOW).await.expect("released");
    assert_eq!(jobs::begin(&mut db, id(1), NOW, lease).await.expect("begun"), Begin::Run { attempt: 2 });
    jobs::release(&mut db, id(1), 1, NOW).await.expect("too late");
    assert_eq!(jobs::begin(&mut db, id(1), NOW, lease).await.expect("answered"), Begin::Busy);
    jobs::finish(&mut db, id(1), NOW).await.expect("finished");
    jobs::release(&mut db, id(1), 2, NOW).await.expect("too late");
    assert_eq!(jobs::begin(&mut db, id(1), NOW.plus_millis(lease), lease).await.expect("answered"), Begin::Done);
}

#[tokio::test]
async fn a_guild_without_a_row_is_on_the_free_plan() {
    let database = database().await;
    let mut db = database.pool().acquire().await.expect("a connection");
    assert_eq!(subscriptions::plan(&mut db, guild(1)).await.expect("a plan"), Plan::Free);
    for plan in [Plan::Enterprise, Plan::Pro, Plan::Free] {
        subscriptions::set_plan(&mut db, guild(1), plan, NOW).await.expect("set");
        assert_eq!(subscriptions::plan(&mut db, guild(1)).await.expect("a plan"), plan);
    }
}
