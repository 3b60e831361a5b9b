-- question: Who asked what about whom, when, and how many rows did it give?
-- parameter: account text = none; only of this account of the database, without the place it came from
-- parameter: about text = none; only questions in which this word was typed: a user, a name, a file
-- window: 7 days
-- tags: integrity, readers
-- example: vestige report who-asked account=carol --since "30d ago"
-- column: account; of the database, and from where, as the server saw it
-- column: os_user; user of the system who ran vestige, as vestige told it
-- column: os_host; where vestige ran, as it told it
-- column: about_host; what --on named; empty: all hosts
-- column: about_user; what --login-user named; empty: all users
-- column: asked_since; begin of the window that the answer was about; empty: all time
-- column: outcome; rows, none, error; empty: it has no end, so it was interrupted or is under way
SELECT q.at, q.account, q.os_user, q.os_host, q.command, q.words, q.on_host AS about_host,
       q.login_user AS about_user, COALESCE(a.since, q.since) AS asked_since,
       COALESCE(a.until, q.until) AS asked_until, a.n_rows, a.duration_ms, a.outcome, q.id AS row_id
  FROM reading q
  LEFT JOIN reading a ON a.asked_id = q.id
 WHERE q.step = 'asked' AND q.at >= :since AND q.at <= :until
   AND (:account IS NULL OR SUBSTRING_INDEX(q.account, '@', 1) = :account)
   AND (:about IS NULL OR INSTR(q.words, :about) > 0)
   AND (:host_id IS NULL OR a.host_id = :host_id OR q.on_host IS NULL
        OR q.on_host = (SELECT name FROM enrolment WHERE host_id = :host_id))
 ORDER BY q.id DESC
 LIMIT :row_limit
