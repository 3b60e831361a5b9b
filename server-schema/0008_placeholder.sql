-- A number that is kept free for what is being made beside this.
DO 0;
