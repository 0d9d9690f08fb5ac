-- The only place of CastAD's schema: `castad schema apply` compares it with the live database and
-- runs the difference. It works on MySQL 8.0+ and MariaDB 10.11+ alike; docs/design.md has the picture.
--
-- All instants are UTC with microseconds, ids are UUIDv7 in text, money is millionths of a US dollar.
-- Enumerations are short strings with a named CHECK, so that a change of the list is found and applied.

-- Who owns tasks.
CREATE TABLE `user` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `user_uuid` varchar(36) NOT NULL,
  `nickname` varchar(100) NOT NULL DEFAULT '',
  `role` varchar(16) NOT NULL DEFAULT 'user',
  `is_active` tinyint(1) NOT NULL DEFAULT 1,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `user_uuid_unique` (`user_uuid`),
  CONSTRAINT `user_role_check` CHECK (`role` in ('user','admin'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- One video being made. event_seq is the task's own counter of events; whoever changes a task locks this row first,
-- so the order of its events is the order of the commits.
CREATE TABLE `task` (
  `task_id` varchar(36) NOT NULL,
  `user_uuid` varchar(36) NOT NULL,
  `status` varchar(16) NOT NULL,
  `stage` varchar(16) NOT NULL,
  `language` varchar(16) NOT NULL,
  `source` json NOT NULL,
  `music` json NOT NULL,
  `publish` json NOT NULL,
  `holds` json NOT NULL,
  `orientation` varchar(16) NOT NULL DEFAULT 'vertical',
  `callback_url` varchar(2048) NOT NULL DEFAULT '',
  `event_seq` bigint NOT NULL DEFAULT 0,
  `estimate_micros` bigint NOT NULL DEFAULT 0,
  `cost_micros` bigint NOT NULL DEFAULT 0,
  `code` varchar(64) NOT NULL DEFAULT '',
  `reason` varchar(1000) NOT NULL DEFAULT '',
  `traceparent` varchar(64) NOT NULL DEFAULT '',
  `is_deleted` tinyint(1) NOT NULL DEFAULT 0,
  `created_at` datetime(6) NOT NULL,
  `updated_at` datetime(6) NOT NULL,
  `finished_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`task_id`),
  KEY `task_owner_index` (`user_uuid`,`is_deleted`,`task_id`),
  KEY `task_status_index` (`status`,`task_id`),
  CONSTRAINT `task_status_check` CHECK (`status` in ('pending','processing','held','completed','failed','cancelled')),
  CONSTRAINT `task_orientation_check` CHECK (`orientation` in ('vertical','horizontal'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- One run: a stage of a task at a revision. due_at is when the relay has to file a work message for it if nothing has
-- happened until then; NULL means that nothing is owed (final, or held). lease_token is the fence of the present claim;
-- a filing moves due_at, and never lease_until.
CREATE TABLE `stage_run` (
  `task_id` varchar(36) NOT NULL,
  `stage` varchar(16) NOT NULL,
  `revision` int NOT NULL,
  `status` varchar(16) NOT NULL,
  `attempt` int NOT NULL DEFAULT 0,
  `due_at` datetime(6) DEFAULT NULL,
  `filings` int NOT NULL DEFAULT 0,
  `lease_token` varchar(36) DEFAULT NULL,
  `lease_until` datetime(6) DEFAULT NULL,
  `owner` varchar(128) NOT NULL DEFAULT '',
  `edit` json DEFAULT NULL,
  `code` varchar(64) NOT NULL DEFAULT '',
  `reason` varchar(1000) NOT NULL DEFAULT '',
  `dead_id` varchar(36) DEFAULT NULL,
  `version` bigint NOT NULL DEFAULT 0,
  `created_at` datetime(6) NOT NULL,
  `started_at` datetime(6) DEFAULT NULL,
  `finished_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`task_id`,`stage`,`revision`),
  KEY `stage_run_due_index` (`due_at`),
  CONSTRAINT `stage_run_stage_check` CHECK (`stage` in ('crawl','intel','lyric','song','video','upload')),
  CONSTRAINT `stage_run_status_check` CHECK (`status` in ('pending','processing','waiting','held','completed','failed','skipped','cancelled'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- What happened, per task and in order: the history, the ids of Server-Sent Events, and what the relay still has to
-- publish on CASTAD_FACTS (unsent = 1; NULL once the broker has it).
CREATE TABLE `task_event` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `event_id` varchar(36) NOT NULL,
  `task_id` varchar(36) NOT NULL,
  `seq` bigint NOT NULL,
  `stage` varchar(16) NOT NULL,
  `what` varchar(32) NOT NULL,
  `revision` int NOT NULL DEFAULT 0,
  `attempt` int NOT NULL DEFAULT 0,
  `task_status` varchar(16) NOT NULL,
  `code` varchar(64) NOT NULL DEFAULT '',
  `reason` varchar(1000) NOT NULL DEFAULT '',
  `traceparent` varchar(64) NOT NULL DEFAULT '',
  `at` datetime(6) NOT NULL,
  `unsent` tinyint DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `task_event_seq_unique` (`task_id`,`seq`),
  KEY `task_event_unsent_index` (`unsent`,`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- What was given up on, until somebody replays or drops it. unsent is what CASTAD_DEAD hasn't been told yet: 1 the letter,
-- 2 that it was dealt with and has to go from there; NULL once the broker has confirmed it.
CREATE TABLE `dead_letter` (
  `dead_id` varchar(36) NOT NULL,
  `task_id` varchar(36) NOT NULL,
  `stage` varchar(16) NOT NULL,
  `revision` int NOT NULL,
  `cause` varchar(64) NOT NULL,
  `reason` varchar(1000) NOT NULL,
  `attempts` int NOT NULL,
  `stream` varchar(64) NOT NULL DEFAULT '',
  `subject` varchar(255) NOT NULL DEFAULT '',
  `stream_seq` bigint NOT NULL DEFAULT 0,
  `consumer` varchar(64) NOT NULL DEFAULT '',
  `program` varchar(128) NOT NULL DEFAULT '',
  `program_version` varchar(64) NOT NULL DEFAULT '',
  `traceparent` varchar(64) NOT NULL DEFAULT '',
  `first_at` datetime(6) NOT NULL,
  `last_at` datetime(6) NOT NULL,
  `state` varchar(16) NOT NULL,
  `unsent` tinyint DEFAULT NULL,
  PRIMARY KEY (`dead_id`),
  KEY `dead_letter_state_index` (`state`,`stage`,`cause`),
  KEY `dead_letter_page_index` (`state`,`dead_id`),
  KEY `dead_letter_task_index` (`task_id`),
  KEY `dead_letter_unsent_index` (`unsent`),
  CONSTRAINT `dead_letter_state_check` CHECK (`state` in ('filed','replayed','dropped','superseded'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- One call to a provider that costs money or can't be taken back. The unique key is what pays only once:
-- whoever plans a call that stands here already finds it instead.
CREATE TABLE `provider_job` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `task_id` varchar(36) NOT NULL,
  `stage` varchar(16) NOT NULL,
  `revision` int NOT NULL,
  `purpose` varchar(64) NOT NULL,
  `try` int NOT NULL,
  `provider` varchar(32) NOT NULL,
  `request` mediumtext NOT NULL,
  `request_hash` varchar(64) NOT NULL,
  `token` varchar(64) NOT NULL,
  `status` varchar(16) NOT NULL,
  `external_id` varchar(1024) NOT NULL DEFAULT '',
  `handle` varchar(255) NOT NULL DEFAULT '',
  `hinted_id` varchar(255) NOT NULL DEFAULT '',
  `price_micros` bigint NOT NULL DEFAULT 0,
  `metered` tinyint(1) NOT NULL DEFAULT 0,
  `charged_micros` bigint DEFAULT NULL,
  `code` varchar(64) NOT NULL DEFAULT '',
  `reason` varchar(1000) NOT NULL DEFAULT '',
  `planned_at` datetime(6) NOT NULL,
  `sent_at` datetime(6) DEFAULT NULL,
  `answered_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `provider_job_call_unique` (`task_id`,`stage`,`revision`,`purpose`,`try`),
  UNIQUE KEY `provider_job_token_unique` (`token`),
  KEY `provider_job_status_index` (`status`,`provider`),
  CONSTRAINT `provider_job_status_check` CHECK (`status` in ('planned','sent','accepted','settled','failed','refused','unknown'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- What calls to providers cost: one movement a row, never changed. A call's price is held before it is sent; what it
-- cost in the end is settled, or the hold released, so a job has two rows at most, and its cost is their sum.
-- 'estimate' settles a call whose provider never told its real price. day is that of the hold.
CREATE TABLE `ledger_entry` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `job_id` bigint NOT NULL,
  `closing` tinyint(1) NOT NULL,
  `kind` varchar(16) NOT NULL,
  `task_id` varchar(36) NOT NULL,
  `user_uuid` varchar(36) NOT NULL,
  `provider` varchar(32) NOT NULL,
  `micros` bigint NOT NULL,
  `day` date NOT NULL,
  `at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `ledger_entry_job_unique` (`job_id`,`closing`),
  KEY `ledger_entry_task_index` (`task_id`),
  KEY `ledger_entry_user_index` (`user_uuid`,`day`),
  KEY `ledger_entry_day_index` (`day`,`provider`),
  CONSTRAINT `ledger_entry_kind_check` CHECK (`kind` in ('hold','settle','estimate','release'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- The sum of a day's ledger entries where it has a cap: of a user, or of all (scope ''). A row is made with the first call
-- of its day.
CREATE TABLE `spending` (
  `scope` varchar(36) NOT NULL,
  `day` date NOT NULL,
  `micros` bigint NOT NULL,
  PRIMARY KEY (`scope`,`day`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- The Idempotency-Key of a submission, written in the transaction that makes the task.
CREATE TABLE `idempotency_key` (
  `user_uuid` varchar(36) NOT NULL,
  `idempotency_key` varchar(255) NOT NULL,
  `request_hash` varchar(64) NOT NULL,
  `task_id` varchar(36) NOT NULL,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`user_uuid`,`idempotency_key`),
  KEY `idempotency_key_created_index` (`created_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- The result of crawl: the business that a task is about.
CREATE TABLE `project` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `task_id` varchar(36) NOT NULL,
  `user_uuid` varchar(36) NOT NULL,
  `place_id` varchar(32) NOT NULL DEFAULT '',
  `store_name` varchar(200) NOT NULL,
  `category` varchar(100) NOT NULL DEFAULT '',
  `region` varchar(100) NOT NULL DEFAULT '',
  `detail_region_info` varchar(300) NOT NULL DEFAULT '',
  `address` varchar(300) NOT NULL DEFAULT '',
  `road_address` varchar(300) NOT NULL DEFAULT '',
  `phone` varchar(40) NOT NULL DEFAULT '',
  `description` text NOT NULL,
  `facilities` json NOT NULL,
  `left_out` json DEFAULT NULL,
  `language` varchar(16) NOT NULL,
  `marketing_intelligence` bigint DEFAULT NULL,
  `is_deleted` tinyint(1) NOT NULL DEFAULT 0,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `project_task_unique` (`task_id`),
  KEY `project_place_index` (`place_id`),
  KEY `project_owner_index` (`user_uuid`,`is_deleted`,`id`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- The photos of a crawl at a revision, in the order in which the video shows them.
CREATE TABLE `image` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `task_id` varchar(36) NOT NULL,
  `revision` int NOT NULL,
  `position` int NOT NULL,
  `url` varchar(2048) NOT NULL,
  `source_url` varchar(2048) NOT NULL,
  `content_type` varchar(64) NOT NULL DEFAULT '',
  `width` int NOT NULL DEFAULT 0,
  `height` int NOT NULL DEFAULT 0,
  `size_bytes` bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (`id`),
  UNIQUE KEY `image_position_unique` (`task_id`,`revision`,`position`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- A marketing report. place_id is '' for reports that must not be used for another task (edited, or without a place).
CREATE TABLE `marketing` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `task_id` varchar(36) NOT NULL,
  `revision` int NOT NULL,
  `place_id` varchar(32) NOT NULL DEFAULT '',
  `language` varchar(16) NOT NULL DEFAULT '',
  `intel_result` json NOT NULL,
  `model` varchar(64) NOT NULL DEFAULT '',
  `prompt_version` varchar(32) NOT NULL DEFAULT '',
  `prompt_hash` varchar(64) NOT NULL DEFAULT '',
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `marketing_run_unique` (`task_id`,`revision`),
  KEY `marketing_place_index` (`place_id`,`language`,`created_at`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `lyric` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `task_id` varchar(36) NOT NULL,
  `revision` int NOT NULL,
  `language` varchar(16) NOT NULL,
  `title` varchar(200) NOT NULL,
  `lines` json NOT NULL,
  `origin` varchar(16) NOT NULL,
  `model` varchar(64) NOT NULL DEFAULT '',
  `prompt_version` varchar(32) NOT NULL DEFAULT '',
  `prompt_hash` varchar(64) NOT NULL DEFAULT '',
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `lyric_run_unique` (`task_id`,`revision`),
  CONSTRAINT `lyric_origin_check` CHECK (`origin` in ('model','owner'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `song` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `task_id` varchar(36) NOT NULL,
  `revision` int NOT NULL,
  `job_id` varchar(128) NOT NULL,
  `clip_id` varchar(128) NOT NULL,
  `clips` json NOT NULL,
  `style` varchar(1000) NOT NULL DEFAULT '',
  `song_result_url` varchar(2048) NOT NULL,
  `seconds` double NOT NULL,
  `alignment` double NOT NULL DEFAULT 0,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `song_run_unique` (`task_id`,`revision`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- When a line (word_no 0) or a word of it is sung, in seconds from the start of the audio.
CREATE TABLE `song_timestamp` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `song_id` bigint NOT NULL,
  `line_no` int NOT NULL,
  `word_no` int NOT NULL DEFAULT 0,
  `text` varchar(500) NOT NULL,
  `start_seconds` double NOT NULL,
  `end_seconds` double NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `song_timestamp_unique` (`song_id`,`line_no`,`word_no`)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

CREATE TABLE `video` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `task_id` varchar(36) NOT NULL,
  `revision` int NOT NULL,
  `user_uuid` varchar(36) NOT NULL,
  `status` varchar(16) NOT NULL,
  `render_id` varchar(128) NOT NULL DEFAULT '',
  `result_movie_url` varchar(2048) NOT NULL DEFAULT '',
  `cover_url` varchar(2048) NOT NULL DEFAULT '',
  `seconds` double NOT NULL DEFAULT 0,
  `width` int NOT NULL DEFAULT 0,
  `height` int NOT NULL DEFAULT 0,
  `is_deleted` tinyint(1) NOT NULL DEFAULT 0,
  `created_at` datetime(6) NOT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `video_run_unique` (`task_id`,`revision`),
  KEY `video_owner_index` (`user_uuid`,`status`,`is_deleted`,`id`),
  CONSTRAINT `video_status_check` CHECK (`status` in ('completed','failed'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;

-- One post of a task's video: a row per target, kept when it is planned and filled in when it is out.
CREATE TABLE `social_upload` (
  `id` bigint NOT NULL AUTO_INCREMENT,
  `task_id` varchar(36) NOT NULL,
  `revision` int NOT NULL,
  `user_uuid` varchar(36) NOT NULL,
  `platform` varchar(16) NOT NULL,
  `status` varchar(16) NOT NULL,
  `title` varchar(200) NOT NULL DEFAULT '',
  `description` text NOT NULL,
  `tags` json NOT NULL,
  `privacy` varchar(16) NOT NULL DEFAULT 'public',
  `publish_at` datetime(6) DEFAULT NULL,
  `due_at` datetime(6) DEFAULT NULL,
  `tries` int NOT NULL DEFAULT 0,
  `code` varchar(64) NOT NULL DEFAULT '',
  `reason` varchar(1000) NOT NULL DEFAULT '',
  `external_id` varchar(255) NOT NULL DEFAULT '',
  `url` varchar(2048) NOT NULL DEFAULT '',
  `created_at` datetime(6) NOT NULL,
  `published_at` datetime(6) DEFAULT NULL,
  PRIMARY KEY (`id`),
  UNIQUE KEY `social_upload_target_unique` (`task_id`,`revision`,`platform`),
  KEY `social_upload_owner_index` (`user_uuid`,`id`),
  CONSTRAINT `social_upload_platform_check` CHECK (`platform` in ('youtube','instagram')),
  CONSTRAINT `social_upload_status_check` CHECK (`status` in ('pending','published','failed','cancelled'))
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci;
