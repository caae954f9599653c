DROP TABLE shell_offers;
