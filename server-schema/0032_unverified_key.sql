-- Every answer counts the lines that nobody has verified yet, over all hosts if it was about all: with
-- this key that reads what is not verified and ends in the window or later, and no row of the table.

ALTER TABLE batch WAIT 5
  ADD KEY IF NOT EXISTS unverified (verified_at, last_time, first_time, host_id, n_lines);
