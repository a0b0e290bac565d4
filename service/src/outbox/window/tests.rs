use time::OffsetDateTime;
use uuid::Uuid;

use super::*;

fn message(sequence: i64) -> Pending {
    Pending {
        sequence,
        message_id: Uuid::from_u128(u128::from(sequence.unsigned_abs())),
        message_type: String::new(),
        routing_key: String::new(),
        payload: String::new(),
        attempts: 0,
        created_at: OffsetDateTime::UNIX_EPOCH,
    }
}

/// Books of so many messages that were handed over.
fn books(handed: u64) -> Books {
    Books { handed, ..Books::default() }
}

impl Books {
    fn says(&mut self, of: i64, answer: Answer, returned: Option<i64>) -> &mut Self {
        let returned = returned.map(|it| Returned { message_id: message_id(&message(it)), why: "returned".to_owned() });
        self.write(message(of), Duration::ZERO, answer, returned);
        self
    }

    /// What is done and what is refused.
    fn tell(&mut self) -> (Vec<i64>, Vec<(i64, String)>) {
        told(self.decided())
    }

    fn tell_at_the_end(self) -> (Vec<i64>, Vec<(i64, String)>) {
        told(self.close())
    }
}

fn told(decided: Decided) -> (Vec<i64>, Vec<(i64, String)>) {
    let done = decided.outcome.done.into_iter().map(|it| it.sequence).collect();
    (done, decided.outcome.refused.into_iter().map(|it| (it.place.sequence, it.why)).collect())
}

fn returned(sequence: i64) -> (i64, String) {
    (sequence, "returned".to_owned())
}

#[test]
fn a_return_counts_for_the_message_it_names_and_not_for_the_confirm_it_came_with() {
    let mut books = books(2);
    books.says(1, Answer::Ack, Some(2)).says(2, Answer::Ack, None);
    assert_eq!(books.tell(), (vec![1], vec![returned(2)]));
}

#[test]
fn a_return_that_came_with_a_later_confirm_counts_too() {
    let mut books = books(2);
    books.says(1, Answer::Ack, None).says(2, Answer::Ack, Some(1));
    assert_eq!(books.tell(), (vec![2], vec![returned(1)]));
}

#[test]
fn nothing_is_decided_while_its_return_may_be_on_its_way() {
    let mut books = books(200);
    for it in 1..=100 {
        books.says(it, Answer::Ack, None);
    }
    assert_eq!(books.tell(), (vec![], vec![]), "100 more were handed over when the last of these was heard");
    books.handed += 50;
    for it in 101..=200 {
        books.says(it, Answer::Ack, None);
    }
    assert_eq!(books.tell(), (vec![], vec![]), "what handed a return out may be among the 50 that came since");
    for it in 201..=250 {
        books.says(it, Answer::Ack, (it == 250).then_some(7));
    }
    let (done, refused) = books.tell();
    assert_eq!(refused, [returned(7)]);
    assert_eq!(done, (1..=250).filter(|it| *it != 7).collect::<Vec<_>>());
}

#[test]
fn in_a_window_cut_short_a_confirm_with_the_return_of_another_proves_nothing() {
    let mut cut = books(3);
    cut.says(1, Answer::Ack, Some(2)).says(3, Answer::Ack, None);
    assert_eq!(cut.tell_at_the_end(), (vec![3], vec![]));
    let mut whole = books(2);
    whole.says(1, Answer::Ack, Some(9)).says(3, Answer::Ack, None);
    assert_eq!(whole.tell_at_the_end(), (vec![1, 3], vec![]));
}

#[test]
fn a_nack_is_a_refusal() {
    let mut books = books(2);
    books.says(1, Answer::Nack, None).says(2, Answer::Nack, Some(2));
    let (done, refused) = books.tell();
    assert_eq!(done, Vec::<i64>::new());
    assert_eq!(refused, [(1, "the broker could not take it (nack)".to_owned()), returned(2)]);
}
