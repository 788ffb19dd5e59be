-- name: suspects(day, from_advertiser_id)
-- Events whose advertiser is not their campaign's, of those whose number could be a currency's letters.
SELECT e.event_id, e.campaign_id, e.advertiser_id, c.advertiser_id, e.site, e.country, e.device
FROM event AS e JOIN campaign AS c ON c.id = e.campaign_id
WHERE e.event_date = :day AND e.advertiser_id >= :from_advertiser_id
  AND e.advertiser_id <> c.advertiser_id
ORDER BY e.event_id;

-- name: mend(day, event_ids, advertiser_ids, sites, countries, devices)!
-- Their orders are known by their true advertiser then, unless that has counted them meanwhile.
WITH mended AS (
    SELECT * FROM unnest(:event_ids::text[], :advertiser_ids::integer[], :sites::text[],
                         :countries::text[], :devices::text[])
           AS m (event_id, advertiser_id, site, country, device)
), forgotten AS (
    DELETE FROM conversion_order AS o USING event AS e
    WHERE e.event_date = :day AND e.event_id = ANY(:event_ids::text[])
      AND (o.advertiser_id, o.order_id) = (e.advertiser_id, e.order_id)
), known AS (
    INSERT INTO conversion_order
    SELECT m.advertiser_id, e.order_id, e.event_date, e.event_id
    FROM mended AS m JOIN event AS e ON e.event_date = :day AND e.event_id = m.event_id
    WHERE e.order_id <> ''
    ON CONFLICT DO NOTHING
)
UPDATE event AS e
SET advertiser_id = m.advertiser_id, site = m.site, country = m.country, device = m.device
FROM mended AS m WHERE e.event_date = :day AND e.event_id = m.event_id;
