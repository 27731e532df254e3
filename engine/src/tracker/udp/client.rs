//! One announce, from the request to connect to the answer.

use super::packet::{Answer, Ask, ConnectionId, Reply, Request};
use crate::dice::Dice;
use crate::time::{Duration, Instant};
use crate::tracker::{AnnounceReply, AnnounceRequest, Family, TrackerFailure};

/// How many requests of one exchange may stay without an answer. BEP 15 goes up to 9, which takes two hours; after
/// these it is given up, in 105 seconds, so that the torrent's next tracker has its turn.
/// ([`tracker::client`](crate::tracker::client) comes back to this one later.)
pub const ATTEMPTS: u32 = 3;
/// The wait for the first answer; it doubles with each request that had none.
pub const FIRST_TIMEOUT: Duration = Duration::from_secs(15);
/// "Clients can use a connection ID until one minute after they have received it."
const CONNECTION_LIFE: Duration = Duration::from_secs(60);

/// An announce to one address of a tracker.
///
/// Its owner calls [`Exchange::poll`] at [`Exchange::poll_timeout`], sends what it gives, and brings what comes from the
/// tracker's address to [`Exchange::on_datagram`]; one of these two gives the outcome, which is the end.
#[derive(Clone, Debug)]
pub struct Exchange {
    request: AnnounceRequest,
    family: Family,
    attempts: u32,
    /// Requests that had no answer in time.
    timeouts: u32,
    /// The connection id, and until when it can be used.
    connection: Option<(ConnectionId, Instant)>,
    /// What has no answer yet.
    waiting: Option<Request>,
    /// When the next request goes out.
    due: Instant,
}

impl Exchange {
    /// An announce of `request` over `family`, which is given up when so many `attempts` had no answer.
    pub const fn new(request: AnnounceRequest, family: Family, attempts: u32) -> Self {
        let (connection, waiting) = (None, None);
        Self { request, family, attempts, timeouts: 0, connection, waiting, due: Instant::ZERO }
    }

    /// Takes in what came from the tracker's address: the outcome, if it is that. A packet with another transaction id
    /// is nobody's, and passed over.
    pub fn on_datagram(
        &mut self,
        now: Instant,
        datagram: &[u8],
    ) -> Option<Result<AnnounceReply, TrackerFailure>> {
        let waiting =
            self.waiting.take_if(|waiting| Reply::transaction_of(datagram) == Some(waiting.transaction))?;
        let malformed = |why: String| Some(Err(TrackerFailure::Malformed(why)));
        match (Reply::decode(datagram, self.family).map(|reply| reply.answer), waiting.ask) {
            (Ok(Answer::Connect(connection)), Ask::Connect) => {
                self.connection = Some((connection, now + CONNECTION_LIFE));
                self.due = now;
                None
            }
            (Ok(Answer::Announce(reply)), Ask::Announce(..)) => Some(Ok(reply)),
            (Ok(Answer::Error(reason)), _) => Some(Err(TrackerFailure::Refused(reason))),
            (Ok(_), _) => malformed("the answer is to another question".to_owned()),
            (Err(error), _) => malformed(error.to_string()),
        }
    }

    /// When [`Exchange::poll`] has something.
    pub const fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// The datagram that is to be sent at `now`, if one is. "If a response is not received after 15 * 2 ^ n seconds, the
    /// client should retransmit the request, where n starts at 0 and is increased up to 8 (3840 seconds) after every
    /// retransmission. Note that it is necessary to rerequest a connection ID when it has expired." `dice` make the
    /// transaction ids, which nobody else must be able to guess.
    ///
    /// # Errors
    /// [`TrackerFailure::TimedOut`] at the end of the last attempt.
    pub fn poll(&mut self, now: Instant, dice: &mut Dice) -> Result<Option<Vec<u8>>, TrackerFailure> {
        if now < self.due {
            return Ok(None);
        }
        self.timeouts += u32::from(self.waiting.is_some());
        if self.timeouts >= self.attempts {
            return Err(TrackerFailure::TimedOut);
        }
        let ask = match self.connection.filter(|(_, until)| now < *until) {
            Some((connection, _)) => Ask::Announce(connection, Box::new(self.request.clone())),
            None => Ask::Connect,
        };
        // A late answer to the same request is welcome.
        let again = self.waiting.take().filter(|waiting| waiting.ask == ask);
        let transaction = again.map_or_else(|| dice.next_u64() as u32, |waiting| waiting.transaction);
        let request = Request { transaction, ask };
        let datagram = request.encode();
        self.waiting = Some(request);
        self.due = now + FIRST_TIMEOUT * (1 << self.timeouts.min(8));
        Ok(Some(datagram))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tracker::AnnounceEvent;
    use crate::units::{InfoHash, PeerId};

    fn at(secs: u64) -> Instant {
        Instant::ZERO + Duration::from_secs(secs)
    }

    /// An exchange with its dice.
    struct Setup {
        exchange: Exchange,
        dice: Dice,
    }

    fn setup(attempts: u32) -> Setup {
        let request = AnnounceRequest {
            info_hash: InfoHash([1; 20]),
            peer_id: PeerId([2; 20]),
            port: 6881,
            uploaded: 0,
            downloaded: 0,
            left: 5,
            event: AnnounceEvent::Started,
            numwant: None,
            key: 3,
        };
        let exchange = Exchange::new(request, Family::V4, attempts);
        Setup { exchange, dice: Dice::stream(1, ("test", 0, "udp")) }
    }

    impl Setup {
        /// What is sent at once.
        fn sent(&mut self, now: Instant) -> Request {
            let datagram = self.exchange.poll(now, &mut self.dice).unwrap().expect("something is due");
            assert_eq!(self.exchange.poll(now, &mut self.dice), Ok(None), "once");
            Request::decode(&datagram).unwrap()
        }

        fn connect(&mut self, now: Instant, connection: u64) {
            let asked = self.sent(now);
            assert_eq!(asked.ask, Ask::Connect);
            let answer = reply(asked.transaction, Answer::Connect(ConnectionId(connection)));
            assert_eq!(self.exchange.on_datagram(now, &answer), None);
        }

        /// Seconds and kinds of all that is sent while nobody answers, and the end.
        fn unanswered(&mut self) -> Vec<(u64, char)> {
            let mut all = Vec::new();
            loop {
                let now = self.exchange.poll_timeout();
                let sent = self.exchange.poll(now, &mut self.dice);
                let kind = match sent.map(|datagram| Request::decode(&datagram.expect("due")).unwrap().ask) {
                    Ok(Ask::Connect) => 'c',
                    Ok(_) => 'a',
                    Err(_) => '!',
                };
                all.push((now.since(Instant::ZERO).as_secs(), kind));
                if kind == '!' {
                    return all;
                }
            }
        }
    }

    fn reply(transaction: u32, answer: Answer) -> Vec<u8> {
        Reply { transaction, answer }.encode(Family::V4)
    }

    fn peers() -> AnnounceReply {
        AnnounceReply {
            interval: Duration::from_secs(900),
            min_interval: None,
            complete: Some(1),
            incomplete: Some(2),
            peers: vec!["10.0.0.1:80".parse().unwrap()],
            warning: None,
        }
    }

    #[test]
    fn connect_announce_answer() {
        let mut s = setup(ATTEMPTS);
        s.connect(at(0), 77);
        assert_eq!(s.exchange.poll_timeout(), at(0));
        let asked = s.sent(at(0));
        let Ask::Announce(connection, request) = &asked.ask else { panic!("{asked:?}") };
        assert_eq!((connection.0, request.left), (77, 5));
        let answer = reply(asked.transaction, Answer::Announce(peers()));
        assert_eq!(s.exchange.on_datagram(at(1), &answer), Some(Ok(peers())));
    }

    #[test]
    fn a_connect_without_answer_is_sent_again_on_the_beps_schedule() {
        let expected =
            [(0, 'c'), (15, 'c'), (45, 'c'), (105, 'c'), (225, 'c'), (465, 'c'), (945, 'c'), (1905, 'c')];
        let expected = [&expected[..], &[(3825, 'c'), (7665, '!')]].concat();
        assert_eq!(setup(9).unanswered(), expected);
        let with_one_more = setup(10).unanswered();
        assert_eq!(with_one_more.last(), Some(&(7665 + 3840, '!')), "n stays at 8");
        assert_eq!(setup(ATTEMPTS).unanswered(), [(0, 'c'), (15, 'c'), (45, 'c'), (105, '!')]);
    }

    #[test]
    fn an_announce_without_answer_asks_for_a_new_id_once_the_old_one_is_too_old() {
        let mut s = setup(5);
        s.connect(at(1), 77);
        let expected = [(1, 'a'), (16, 'a'), (46, 'a'), (106, 'c'), (226, 'c'), (466, '!')];
        assert_eq!(s.unanswered(), expected);
    }

    #[test]
    fn a_late_answer_to_the_first_of_two_is_taken() {
        let mut s = setup(ATTEMPTS);
        let first = s.sent(at(0));
        let again = s.sent(at(15));
        assert_eq!(first, again);
        let answer = reply(first.transaction, Answer::Connect(ConnectionId(1)));
        assert_eq!(s.exchange.on_datagram(at(16), &answer), None);
        let announce = s.sent(at(16));
        assert_ne!(announce.transaction, first.transaction);
        // The answer to the second comes too, and changes nothing.
        assert_eq!(s.exchange.on_datagram(at(17), &answer), None);
        assert_eq!(s.exchange.poll_timeout(), at(16 + 30));
    }

    #[test]
    fn a_wrong_transaction_id_and_noise_are_passed_over() {
        let mut s = setup(ATTEMPTS);
        let asked = s.sent(at(0));
        let strangers = reply(asked.transaction ^ 1, Answer::Connect(ConnectionId(666)));
        let refused = reply(asked.transaction ^ 1, Answer::Error("no".to_owned()));
        for datagram in [&strangers[..], &refused, &[], &[0; 7], &[0; 16], &[0xff; 100]] {
            assert_eq!(s.exchange.on_datagram(at(1), datagram), None);
            assert_eq!(s.exchange.poll_timeout(), at(15), "{datagram:?}");
        }
    }

    #[test]
    fn errors_and_nonsense_from_the_tracker_end_it() {
        for (answer, failure) in [
            (Some(Answer::Error("go away\0".to_owned())), TrackerFailure::Refused("go away".to_owned())),
            (
                Some(Answer::Announce(peers())),
                TrackerFailure::Malformed("the answer is to another question".to_owned()),
            ),
            (None, TrackerFailure::Malformed("the packet is too short".to_owned())),
        ] {
            let mut s = setup(ATTEMPTS);
            let asked = s.sent(at(0));
            let datagram = match answer {
                Some(answer) => reply(asked.transaction, answer),
                None => reply(asked.transaction, Answer::Connect(ConnectionId(1)))[..15].to_vec(),
            };
            assert_eq!(s.exchange.on_datagram(at(1), &datagram), Some(Err(failure)));
        }
    }
}
