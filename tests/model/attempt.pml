/* The life of one attempt of effect `once`, between one coordinator and one agent (docs/semantics.md).
 *
 * Everything that can happen is one guard of one loop, so that Spin explores every order of steps and faults: both
 * processes crash, the host reboots, the journal is lost, sessions break, and messages of broken sessions are lost or
 * arrive late. Each `#ifdef` removes one safeguard; tests/model/test_attempt.py checks that the whole protocol holds
 * and that each removal is found.
 */

#define FAULTS 2        /* coordinator crashes, agent crashes and broken sessions: this many each */

mtype = { NOTHING, ACCEPTED, STARTED, EXITED, FORGOTTEN };      /* the agent's journal */
mtype = { SUCCEEDED, NEVER, STOPPED, UNKNOWN };                 /* outcomes; NOTHING = none yet */
mtype = { ASSIGN, CANCEL, ACK };

/* durable, coordinator */
bool intent = false;
byte epoch = 1;
mtype verdict = NOTHING;
bool cancel_wanted = false;
bool knows_new_journal = false;

/* volatile, coordinator */
bool coordinator_up = true;
bool assigned = false;          /* sent in this session */
bool cancel_sent = false;
bool ack_due = false;
mtype uncommitted = NOTHING;    /* only mutants hold a result that is not committed */

/* durable, agent */
mtype journal = NOTHING;
mtype outcome = NOTHING;
byte highest_epoch = 1;
bool new_journal = false;

/* volatile, agent */
bool agent_up = true;
bool spawning = false;          /* STARTED is in the journal, the worker is not yet there */
bool reported = false;          /* in this session */

/* the worker outlives the agent's process, not the host */
bool working = false;
bool outcome_file = false;
bool effect_done = false;
byte starts = 0;

/* the network */
bool session = false;
chan down = [2] of { mtype, byte };
chan up = [2] of { mtype };
chan late = [1] of { mtype, byte };     /* from a session that is gone */

byte coordinator_crashes = 0;
byte agent_crashes = 0;
byte breaks = 0;
bool rebooted = false;
bool journal_lost = false;

mtype message;
byte message_epoch;
mtype told;

inline break_session() {
    session = false; assigned = false; cancel_sent = false; ack_due = false; reported = false;
    do
    :: down ? [message, message_epoch] -> down ? message, message_epoch;
        if
        :: nfull(late) -> late ! message, message_epoch
        :: true
        fi
    :: empty(down) -> break
    od;
    do
    :: up ? [told] -> up ? told
    :: empty(up) -> break
    od;
    message = NOTHING; message_epoch = 0; told = NOTHING
}

/* The process is gone, and with it every connection that could still carry a late message to it. */
inline crash_agent() {
    agent_crashes++; agent_up = false; spawning = false; break_session();
    do
    :: late ? [message, message_epoch] -> late ? message, message_epoch
    :: empty(late) -> break
    od;
    message = NOTHING; message_epoch = 0
}

inline start_worker() {
    starts++; working = true;
    assert(starts <= 1);
    assert(intent);
    assert(verdict != NEVER)
}

/* What the agent does with a message; in a late one only the fence of epochs and the journal protect it. */
inline take(kind, from_epoch) {
    if
#ifndef NO_EPOCH_FENCE
    :: from_epoch < highest_epoch -> skip
#endif
    :: else ->
        assert(from_epoch >= highest_epoch);
        highest_epoch = from_epoch;
        if
        :: kind == ASSIGN ->
            if
            :: journal == NOTHING -> journal = ACCEPTED
#ifdef NO_DEDUPE
            :: journal == STARTED && !spawning -> journal = ACCEPTED
            :: else -> skip
#else
            :: journal == EXITED -> reported = false
            :: else -> skip
#endif
            fi
        :: kind == CANCEL ->
            if
            :: journal == NOTHING ->
#ifdef NO_TOMBSTONE
                if
                :: session && nfull(up) -> up ! NEVER
                :: else
                fi
#else
                journal = EXITED; outcome = NEVER
#endif
            :: journal == ACCEPTED -> journal = EXITED; outcome = NEVER
            :: journal == STARTED && working -> working = false; journal = EXITED; outcome = STOPPED
            :: else -> skip
            fi
        :: kind == ACK ->
            if
#ifdef NO_WATERMARK
            :: journal == EXITED -> journal = NOTHING; outcome = NOTHING
#else
            :: journal == EXITED -> journal = FORGOTTEN
#endif
            :: else -> skip
            fi
        fi
    fi
}

active proctype world() {
    do
    /* --- coordinator --- */
    :: atomic { coordinator_up && !intent -> intent = true }
#ifdef SEND_BEFORE_COMMIT
    :: atomic { coordinator_up && session && verdict == NOTHING && !cancel_wanted && !assigned && nfull(down) ->
#else
    :: atomic { coordinator_up && session && intent && verdict == NOTHING && !cancel_wanted && !assigned && nfull(down) ->
#endif
        down ! ASSIGN, epoch; assigned = true }
    :: atomic { intent && verdict == NOTHING && !cancel_wanted -> cancel_wanted = true }
    :: atomic { coordinator_up && session && cancel_wanted && verdict == NOTHING && !cancel_sent && nfull(down) ->
        down ! CANCEL, epoch; cancel_sent = true }
#ifdef ACK_BEFORE_COMMIT
    :: atomic { coordinator_up && session && uncommitted == NOTHING && up ? [told] ->
        up ? told; ack_due = true; uncommitted = told; told = NOTHING }
    :: atomic { coordinator_up && uncommitted != NOTHING && !ack_due ->
        if :: verdict == NOTHING -> verdict = uncommitted :: else fi; uncommitted = NOTHING }
#else
    :: atomic { coordinator_up && session && up ? [told] ->
        up ? told; ack_due = true;
        if :: verdict == NOTHING -> verdict = told :: else fi;
        told = NOTHING }
#endif
    :: atomic { coordinator_up && session && ack_due && nfull(down) -> down ! ACK, epoch; ack_due = false }

    /* --- session: Hello tells the journal before anything is assigned --- */
    :: atomic { !session && coordinator_up && agent_up && epoch >= highest_epoch ->
        session = true;
        highest_epoch = epoch;
#ifndef IGNORE_NEW_JOURNAL
        if
        :: new_journal && !knows_new_journal ->
            knows_new_journal = true;
            if :: intent && verdict == NOTHING -> verdict = UNKNOWN :: else fi
        :: else
        fi;
#endif
        assigned = (journal == ACCEPTED || journal == STARTED || journal == EXITED) }

    /* --- agent --- */
    :: atomic { agent_up && session && down ? [message, message_epoch] ->
        down ? message, message_epoch; take(message, message_epoch); message = NOTHING; message_epoch = 0 }
    :: atomic { agent_up && late ? [message, message_epoch] ->
        late ? message, message_epoch; take(message, message_epoch); message = NOTHING; message_epoch = 0 }
#ifdef START_BEFORE_JOURNAL
    :: atomic { agent_up && journal == ACCEPTED && !spawning -> start_worker(); spawning = true }
    :: atomic { agent_up && spawning -> journal = STARTED; spawning = false }
#else
    :: atomic { agent_up && journal == ACCEPTED -> journal = STARTED; spawning = true }
    :: atomic { agent_up && spawning && journal == STARTED -> start_worker(); spawning = false }
#endif
    :: atomic { agent_up && journal == STARTED && !spawning && outcome_file -> journal = EXITED; outcome = SUCCEEDED }
    :: atomic { agent_up && session && journal == EXITED && !reported && nfull(up) -> up ! outcome; reported = true
#ifdef FORGET_BEFORE_ACK
        ; journal = NOTHING; outcome = NOTHING
#endif
        }
    :: atomic { working -> working = false; outcome_file = true; effect_done = true }

    /* --- faults --- */
    :: atomic { coordinator_up && coordinator_crashes < FAULTS ->
        coordinator_crashes++; coordinator_up = false; uncommitted = NOTHING; break_session() }
    :: atomic { !coordinator_up -> coordinator_up = true; epoch++ }
    :: atomic { session && breaks < FAULTS -> breaks++; break_session() }
    :: atomic { agent_up && agent_crashes < FAULTS -> crash_agent() }
    :: atomic { agent_up && !rebooted && agent_crashes < FAULTS ->
        rebooted = true; working = false; crash_agent() }
    :: atomic { !agent_up && !journal_lost ->
        journal_lost = true; journal = NOTHING; outcome = NOTHING; highest_epoch = 0; new_journal = true;
        agent_up = true }
    :: atomic { !agent_up ->
        agent_up = true;
        if
        :: journal == STARTED && !working && !outcome_file ->
#ifdef RESTART_INTERRUPTED
            journal = ACCEPTED
#else
            journal = EXITED; outcome = UNKNOWN
#endif
        :: else
        fi }

    /* --- the end: everything is answered --- */
    :: atomic { verdict != NOTHING && !working && !spawning && (journal == FORGOTTEN || journal == NOTHING || new_journal) ->
        assert(verdict != SUCCEEDED || effect_done);
        assert(verdict != NEVER || starts == 0);
        break }
    od
}

/* Never broken at any moment. */
active proctype invariants() {
    assert(!(journal == FORGOTTEN && verdict == NOTHING) && !(verdict == SUCCEEDED && !effect_done))
}
