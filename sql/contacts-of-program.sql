-- question: Whom did this program contact, how often, and in what order?
-- parameter: program text; name or whole path of the program, as it was recorded
-- window: 7 days
-- tags: network, programs
-- example: vestige report contacts-of-program crond --on web1
-- column: place; in the order of first contacts
-- column: contacts; how many there were
-- column: established; how many of these came to a connection, or were answered
-- column: bytes_sent; of those that have ended; TCP only
SELECT h.name AS host, c.place, c.protocol, c.remote_address, c.remote_port, c.remote_name, c.contacts,
       c.established, c.first_contact, c.last_contact, c.bytes_sent, c.bytes_received, c.row_host_id,
       c.row_id
  FROM (SELECT ROW_NUMBER() OVER (PARTITION BY e.host_id ORDER BY MIN(e.created_at), MIN(e.id)) AS place,
               e.protocol, e.remote_address, e.remote_port, MAX(e.remote_name) AS remote_name,
               COUNT(*) AS contacts, SUM(e.status <=> 'established') AS established,
               MIN(e.created_at) AS first_contact, MAX(e.created_at) AS last_contact,
               SUM(e.bytes_sent) AS bytes_sent, SUM(e.bytes_received) AS bytes_received,
               e.host_id AS row_host_id, MIN(e.id) AS row_id
          FROM endpoint e
          LEFT JOIN process p ON p.host_id = e.host_id AND p.id = e.process_id
           AND p.day = DATE('1970-01-01' + INTERVAL e.process_id DIV 1000000 SECOND)
         WHERE e.day >= :since_day AND e.created_at >= :since AND e.created_at <= :until
           AND e.direction = 'out'
           AND (e.application = :program OR p.exe = :program
                OR SUBSTRING_INDEX(p.exe, '/', -1) = :program)
           AND (:host_id IS NULL OR e.host_id = :host_id)
           AND (:any_login OR e.login_uid <=> :login_uid)
         GROUP BY e.host_id, e.protocol, e.remote_address, e.remote_port) c
  JOIN enrolment h ON h.host_id = c.row_host_id
 ORDER BY host, c.place
 LIMIT :row_limit
