use parking_lot::Mutex;
use tokio_util::task::TaskTracker;

use super::*;

/// What so many requests of three steps each do, in order: the number of the step, again and again.
async fn steps(requests: usize) -> Vec<u8> {
    let (cohort, done) = (Arc::new(Cohort::default()), Arc::new(Mutex::new(Vec::new())));
    let tasks = TaskTracker::new();
    for _ in 0..requests {
        let (cohort, done) = (Arc::clone(&cohort), Arc::clone(&done));
        let member = cohort.join();
        tasks.spawn(async move {
            for step in 0..3 {
                cohort.step().await;
                done.lock().push(step);
            }
            drop(member);
        });
    }
    tasks.close();
    tasks.wait().await;
    assert_eq!(cohort.0.load(Ordering::Relaxed), 0, "everybody has left");
    Arc::into_inner(done).unwrap().into_inner()
}

#[tokio::test]
async fn requests_that_are_under_way_together_take_each_step_together() {
    assert_eq!(steps(5).await, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2]);
}

#[tokio::test]
async fn few_requests_do_not_wait_for_each_other() {
    assert_eq!(steps(3).await, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}
