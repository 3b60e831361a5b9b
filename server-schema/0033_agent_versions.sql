-- Not yet.
DO 0;
