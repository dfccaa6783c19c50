//! Many questions at once, and a machine that does not answer.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use odoo_ha_backends::peers_http::{ANSWER_PATIENCE, MOST_QUESTIONS};
use odoo_ha_core::error::ErrorKind;
use odoo_ha_core::failsafe::Reply;
use odoo_ha_core::roles::{Asked, Peers};

use super::support::{Listening, TIME, ask, config, free_address, is, member};

#[tokio::test]
async fn many_questions_at_once_are_all_answered_or_put_off() {
    let echo = |asked: Asked| {
        let number = asked.question.round.1;
        asked.answer(Reply::Refused(number.to_string()));
    };
    let listening = Listening::start(config(free_address()).build().unwrap(), echo).await;
    let asker = member();
    let asks: Vec<_> = (0..200)
        .map(|number| {
            let (asker, url) = (asker.clone(), listening.url());
            tokio::spawn(async move { (number, ask(&asker, &url, number).await) })
        })
        .collect();
    let mut answered = 0;
    for ask in asks {
        match ask.await.unwrap() {
            (number, Ok(reply)) => {
                assert_eq!(reply, Reply::Refused(number.to_string()));
                answered += 1;
            }
            (_, Err(error)) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{}", error.chain()),
        }
    }
    assert!(answered >= MOST_QUESTIONS, "{answered}");
    assert_eq!(ask(&asker, &listening.url(), 999).await.unwrap(), Reply::Refused("999".into()));
}

/// The machine takes no question: so many are kept, all others are put off at once.
#[tokio::test]
async fn more_than_the_machine_takes_are_put_off_at_once() {
    let (deaf, asker) = (config(free_address()).build().unwrap(), member());
    // It listens, and nobody takes what comes in.
    assert!(tokio::time::timeout(Duration::ZERO, deaf.next()).await.is_err());
    let begun = Instant::now();
    let asks: Vec<_> = (0..MOST_QUESTIONS as u64 * 3)
        .map(|number| {
            let (asker, url) = (asker.clone(), deaf.address());
            tokio::spawn(async move {
                let result = ask(&asker, &url, number).await;
                (begun.elapsed(), result)
            })
        })
        .collect();
    let mut at_once = 0;
    for ask in asks {
        let (after, result) = ask.await.unwrap();
        let chain = is(ErrorKind::Unavailable, result);
        assert!(chain.contains("503"), "{chain}");
        at_once += usize::from(after < ANSWER_PATIENCE);
    }
    assert_eq!(at_once, MOST_QUESTIONS * 2);
}

/// The member gives up before its asker does.
#[tokio::test]
async fn a_machine_that_does_not_answer_is_not_waited_for_long() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&kept);
    let peers = config(free_address()).build().unwrap();
    let listening = Listening::start(peers, move |asked| keep.lock().unwrap().push(asked)).await;
    let begun = Instant::now();
    let chain = is(ErrorKind::Unavailable, ask(&member(), &listening.url(), 1).await);
    assert!(begun.elapsed() >= ANSWER_PATIENCE && begun.elapsed() < TIME, "{:?}", begun.elapsed());
    assert!(chain.contains("503"), "{chain}");
    let asked = kept.lock().unwrap().pop().unwrap();
    asked.answer(Reply::Accepted);
}
