//! Every fault, with outages of seconds.

use guildhall_chaos::engine;
use guildhall_chaos::scale::{Binaries, Context, FAKETIME, Scale, Services};
use guildhall_runtime::system_clock;
use guildhall_test_kit::services;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_breaks_for_seconds_the_books_stay_exact() {
    let this = std::env::current_exe().expect("a program");
    let context = Context {
        scale: Scale::short(7),
        services: Services {
            postgres: services::service(services::POSTGRES),
            redis: services::service(services::REDIS),
            aws: services::service(services::AWS),
        },
        binaries: Binaries::built_beside(&this, env!("CARGO")).await.expect("the programs under test"),
        clock: system_clock(),
        faketime: Some(services::service(FAKETIME).into()),
    };
    let rows = engine::run(&context, engine::chosen(None).expect("all"), |row| println!("{row}")).await;
    let bad: Vec<_> = rows.iter().filter(|row| !row.is_good()).map(ToString::to_string).collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
